"""What the iterator over details tells is what /proc says, field by field."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import table
from collectors.bpf import details
from collectors.bpf.tasks import Tasks
from collectors.formats import pid_stat, pid_status
from collectors.formats.pid_stat import PidStat
from collectors.formats.pid_status import PidStatus
from collectors.kernel import processes
from collectors.kernel.processes import Process
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel import made
from tests.requirements import lacking

pytestmark = pytest.mark.root

KINDS = (
    "",
    "sum(range(3_000_000)); os.listdir('/proc')",
    "open('/proc/self/comm', 'w').write('a (b) c')",
    "os.setgid(65533); os.setuid(65534)",
    "os.setresuid(1, 2, 3)",
    "libc.prctl(38, 1, 0, 0, 0)",
    "libc.prctl(38, 1, 0, 0, 0); libc.prctl(22, 2, FILTER)",
    "libc.prctl(24, 21, 0, 0, 0)",
    "unshare(NEWUSER)",
    "unshare(NEWPID)\nif os.fork(): wait()",
    "unshare(NEWPID)\nif os.fork(): wait()\nelse:\n  unshare(NEWPID)\n  if os.fork(): wait()",
    "held = bytearray(8 << 20)",
    "import threading; threading.Thread(target=wait, daemon=True).start()",
    (
        "child = os.fork() or (libc.prctl(1, 9, 0, 0, 0), os.kill(os.getpid(), 19))\n"
        "os.waitid(os.P_PID, child, os.WSTOPPED)"
    ),
)
"""What processes may do that tells in their stat or status: SIGSTOP is 19, and PR_SET_PDEATHSIG 1."""
FILTER = """
import ctypes, struct
code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
FILTER = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 1, ctypes.addressof(code)))
"""
"""A program of seccomp(2) that allows everything."""


@contextmanager
def odd() -> Iterator[set[int]]:
    """Keep a process of each kind; yield their pids, and those of their children."""
    with ExitStack() as stack:
        found: set[int] = set()
        for code in KINDS:
            pid, _ = stack.enter_context(made.process(f"{FILTER}{code}\nsay('ready')\nwait()"))
            pending = [pid]
            while pending:
                one = pending.pop()
                found.add(one)
                children = Path(f"/proc/{one}/task/{one}/children").read_text()
                pending += map(int, children.split())
        yield found


def said(pid: int) -> tuple[PidStat, PidStatus] | None:
    try:
        stat = pid_stat.parse(Path(f"/proc/{pid}/stat").read_bytes())
        status = pid_status.parse(Path(f"/proc/{pid}/status").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat._replace(program=()), status


def told(reader: Tasks) -> dict[int, details.Detail]:
    found = reader.details()
    if found is None:
        lacking("no BPF iterator over details here")
    return found


def test_each_process_is_told_of_as_its_files_say(reader: Tasks):
    with odd() as mine:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        before = {pid: said(pid) for pid in pids}
        found = told(reader)
        after = {pid: said(pid) for pid in pids}
    # What is another one afterwards may have been so already.
    still = {pid for pid in found.keys() & set(pids) if before[pid] == after[pid] is not None}
    assert len(mine & still) > len(mine) - 3
    assert any(found[pid].stat.kernel_thread for pid in still)
    assert {found[pid].stat.state for pid in mine & still} >= {"S", "T"}
    assert {len(found[pid].status.namespace_pids) for pid in mine & still} == {1, 2, 3}
    for pid in still:
        stat, status = found[pid].stat, found[pid].status
        one = before[pid]
        assert one is not None
        if pid not in mine:
            stat = stat._replace(state=one[0].state)  # it may have slept just then
        if not found[pid].timed:
            stat = stat._replace(utime_ticks=one[0].utime_ticks, stime_ticks=one[0].stime_ticks)
        assert (stat, status) == one, pid


def test_the_times_of_several_threads_are_left_to_their_file(reader: Tasks):
    code = "import threading\nthreading.Thread(target=wait, daemon=True).start()\n"
    with made.process(code + "say('ready')\nwait()") as (pid, _):
        detail = told(reader)[pid]
    assert detail.stat.threads == 2
    assert not detail.timed


def test_a_zombie_is_left_to_its_files(reader: Tasks):
    code = "child = os.fork() or os._exit(0)\nos.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)\n"
    with made.process(code + "say(child)\nwait()") as (_, (child,)):
        assert int(child) not in told(reader)


def taken(*, quick: bool) -> tuple[dict[int, Process], int]:
    root = Root()
    reading = processes.Reader(Table(quick=quick)).read(root)
    return {one.pid: one for one in reading.processes}, root.reads.files


def test_a_first_reading_of_many_is_the_same_as_by_proc_and_reads_few_files(
    reader: Tasks, monkeypatch: pytest.MonkeyPatch
):
    told(reader)
    monkeypatch.setattr(table, "_MANY", 1)
    with odd() as mine, made.crowd(processes._CROWD) as parent:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        mine |= {parent, *map(int, children)}
        # What comes and goes beside them only adds files.
        quick, files = min((taken(quick=True) for _ in range(3)), key=lambda one: one[1])
        slow, others = taken(quick=False)
    assert {pid: quick[pid] for pid in mine} == {pid: slow[pid] for pid in mine}
    assert files < others - 3 * processes._CROWD


def test_without_the_iterator_all_is_read_by_files(reader: Tasks, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "_MANY", 1)
    monkeypatch.setattr(details, "connect", lambda _: -1)
    with made.crowd(processes._CROWD) as parent:
        quick, files = taken(quick=True)
    assert quick[parent].command
    assert files > 4 * processes._CROWD


@given(
    st.integers(0, 1 << 50), st.integers(0, 1 << 50), st.integers(0, 1 << 50),
    st.integers(0, 1 << 50), st.integers(0, 1 << 50),
)  # fmt: skip
def test_times_add_up_to_what_ran_and_never_go_back(
    utime: int, stime: int, ran: int, utime_said: int, stime_said: int
):
    user, system = details._adjusted((utime, stime), ran, (utime_said, stime_said))
    assert user + system == max(ran, utime_said + stime_said)
    assert user >= utime_said
    assert system >= stime_said
