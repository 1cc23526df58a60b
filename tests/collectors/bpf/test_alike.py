"""What the iterators tell of namespaces, sockets and descriptors is what /proc says, record by record."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from collectors import descriptors, spaces, table
from collectors.bpf import tasks
from collectors.bpf.tasks import Opened, Tasks
from collectors.kernel import namespaces, sockets
from collectors.kernel.namespaces import Membership, Namespace, NamespacesReading, Pin
from collectors.members import Members, MountTables
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel import made
from tests.requirements import lacking

pytestmark = pytest.mark.root

ODD = (
    "",
    "unshare(NEWUTS | NEWIPC | NEWNS)",
    "unshare(NEWNET | NEWCGROUP)",
    "unshare(NEWPID)",
    "unshare(NEWTIME)",
    "unshare(NEWUSER)",
    "unshare(NEWPID | NEWUTS); os.fork() or wait()",
    "held = open('/proc/self/ns/net'); unshare(NEWNET)",
    "held = open('/proc/self/ns/uts'); copy = os.dup(held.fileno())",
    "held = os.pipe()",
    "import socket; held = socket.socketpair()",
)
"""What processes may do that tells in their namespaces or descriptors."""


@contextmanager
def odd() -> Iterator[list[int]]:
    """Keep a process of each kind; yield their pids, and those of their children."""
    with ExitStack() as stack:
        found: list[int] = []
        for code in ODD:
            pid, _ = stack.enter_context(made.process(f"{code}\nsay('ready')\nwait()"))
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found += [pid, *map(int, children)]
        yield found


def links(pid: int) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for kind in tasks.Inodes._fields:
        try:
            found[kind] = os.stat(f"/proc/{pid}/ns/{kind}").st_ino
        except FileNotFoundError:
            found[kind] = None
    return found


def test_the_namespaces_that_are_told_are_those_of_proc(reader: Tasks):
    with odd() as pids:
        tokens = reader.read()
        told = {pid: tasks.inodes(tokens[pid]) for pid in pids}
        assert sum(one is not None for one in told.values()) > len(ODD) - 3
        for pid, one in told.items():
            assert one is None or one._asdict() == links(pid), pid


def test_of_a_process_whose_children_get_another_pid_namespace_its_own_is_told(reader: Tasks):
    with made.process("unshare(NEWPID)\nsay('ready')\nwait()") as (pid, _):
        told = tasks.inodes(reader.read()[pid])
        assert told is not None
        assert told.pid == made.inode(pid, "pid")


def test_within_a_pid_namespace_it_is_not_told_of_one_whose_children_get_another(reader: Tasks):
    code = "unshare(NEWPID)\nif os.fork():\n  wait()\nelse:\n  unshare(NEWPID)\n  say('ready')\n  wait()"
    with made.process(code) as (pid, _):
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert tasks.inodes(reader.read()[int(child)]) is None


def test_of_a_zombie_it_is_not_told(reader: Tasks):
    code = "child = os.fork() or os._exit(0)\nos.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n"
    with made.process(code + "say(child)\nwait()") as (_, (child,)):
        assert tasks.inodes(reader.read()[int(child)]) is None


def test_every_socket_and_open_namespace_is_told_with_who_has_it(reader: Tasks):
    with odd() as pids:
        opened = reader.opened()
        if opened is None:
            lacking("no BPF iterator over files here")
        for pid in pids:
            said = {
                name: os.readlink(f"/proc/{pid}/fd/{name}")
                for name in os.listdir(f"/proc/{pid}/fd")
            }
            having = {f"socket:[{inode}]" for inode, held in opened.sockets.items() if pid in held}
            assert having == {link for link in said.values() if link.startswith("socket:[")}, pid
            spaced = {
                int(name) for name, link in said.items() if link.partition(":[")[0] in links(pid)
            }
            assert set(opened.namespaces.get(pid, ())) == spaced, pid


def test_a_threads_own_descriptors_are_not_its_processs(reader: Tasks):
    code = """
import socket, threading
def work():
    unshare(0x400)
    held = socket.socket()
    say(os.fstat(held.fileno()).st_ino)
    wait()
threading.Thread(target=work, daemon=True).start()
time.sleep(1000)
"""
    command = [sys.executable, "-I", "-c", made.PRELUDE + code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        inode = int(child.stdout.readline())
        opened = reader.opened()
        child.kill()
    assert opened is not None
    assert inode not in opened.sockets


def taken(*, quick: bool) -> tuple[NamespacesReading, int]:
    root, processes = Root(), Table(quick=quick)
    reading = namespaces.Reader(processes, MountTables(processes)).read(root)
    return reading, root.reads.files


def holder(pin: Pin) -> int | None:
    """Return the process that holds a namespace by an open descriptor."""
    return int(pin.path.split("/")[2]) if pin.kind == "fd" else None


def test_a_first_reading_of_many_is_the_same_as_by_proc_and_reads_few_files(
    reader: Tasks, monkeypatch: pytest.MonkeyPatch
):
    if reader.opened() is None:
        lacking("no BPF iterator over files here")
    monkeypatch.setattr(table, "_MANY", 1)
    with odd() as pids, made.crowd(spaces._CROWD) as parent:
        quick, files = taken(quick=True)
        slow, others = taken(quick=False)
        crowded = {*pids, parent}

        def mine(reading: NamespacesReading) -> list[Membership]:
            return [one for one in reading.memberships if one.pid in crowded]

        def told(reading: NamespacesReading) -> list[Namespace]:
            """Return its namespaces that these are in, with what these hold of them alone."""
            inodes = {inode for one in mine(slow) for inode in one.inodes}
            return [
                structs.replace(
                    one, pinned_by=tuple(pin for pin in one.pinned_by if holder(pin) in crowded)
                )
                for one in reading.namespaces
                if one.inode in inodes
            ]

        assert mine(quick) == mine(slow)
        assert len(mine(slow)) == len(crowded)
        assert told(quick) == told(slow)
        assert sum(len(one.pinned_by) for one in told(slow)) > 2
    assert files < others - 10 * spaces._CROWD


def test_who_has_a_socket_is_the_same_as_by_proc(reader: Tasks, monkeypatch: pytest.MonkeyPatch):
    if reader.opened() is None:
        lacking("no BPF iterator over files here")
    monkeypatch.setattr(table, "_MANY", 1)
    with socket.create_server(("127.0.0.1", 0)) as server, made.crowd(3) as parent:
        inode = os.fstat(server.fileno()).st_ino
        by_proc = sockets.SocketReader(Members(table=Table(quick=False))).read(Root())
        processes, root = Table(), Root()
        namespaces.Reader(processes, MountTables(processes)).read(root)
        # By /proc nobody would be found.
        none = sockets.Limits(scan=descriptors.Limits(descriptors=0))
        told = sockets.SocketReader(Members(table=processes), none).read(root)
        assert told.holders[inode] == by_proc.holders[inode] == (os.getpid(),)
        assert parent not in told.holders[inode]


def test_what_was_opened_since_another_collector_was_told_is_asked_for_again(
    reader: Tasks, monkeypatch: pytest.MonkeyPatch
):
    if reader.opened() is None:
        lacking("no BPF iterator over files here")
    monkeypatch.setattr(table, "_MANY", 1)
    processes, root, asked = Table(), Root(), 0
    namespaces.Reader(processes, MountTables(processes)).read(root)
    ask = Tasks.opened

    def opened(tasks: Tasks) -> Opened | None:
        nonlocal asked
        asked += 1
        return ask(tasks)

    monkeypatch.setattr(Tasks, "opened", opened)
    before = processes.opened()
    assert processes.opened(again=False) is before
    assert asked == 1
    none = sockets.Limits(scan=descriptors.Limits(descriptors=0))
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = sockets.SocketReader(Members(table=processes), none).read(root)
        assert told.holders[os.fstat(server.fileno()).st_ino] == (os.getpid(),)
    assert asked == 2
