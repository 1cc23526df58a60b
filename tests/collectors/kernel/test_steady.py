"""A steady frame reads little, and what changed is seen when it is said to be: on real processes and cgroups."""

import contextlib
import gc
import os
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors import inotify
from collectors import root as root_module
from collectors.bpf import tasks
from collectors.cgroupfs.again import TURN
from collectors.cgroupfs.group import pulse_files
from collectors.kept import File, Kept
from collectors.kernel import cgroups, namespaces, processes
from collectors.kernel.processes import Process
from collectors.members import MountTables
from collectors.root import Root
from collectors.table import ACTIVE, IDLE, YOUNG, Table
from tests import requirements
from tests.collectors.kernel import made
from tests.requirements import lacking

SIZE = 200


class Frames:
    """The collectors of processes and namespaces over one table, as a running sampler has them."""

    def __init__(self, *, quick: bool) -> None:
        self.root = Root()
        table = Table(quick=quick)
        self.processes = processes.Reader(table)
        self.namespaces = namespaces.Reader(table, MountTables(table))

    def next(self) -> dict[int, Process]:
        reading = self.processes.read(self.root)
        self.spaces = {
            one.pid: dict(zip(namespaces.TYPES, one.inodes, strict=True))
            for one in self.namespaces.read(self.root).memberships
        }
        return {process.pid: process for process in reading.processes}

    def steady(self) -> None:
        for _ in range(ACTIVE + 2):
            self.next()

    def until(self, seen: Callable[[dict[int, Process]], bool], most: int) -> int:
        """Return after how many frames it was seen; fail after `most`."""
        for number in range(1, most + 1):
            if seen(self.next()):
                return number
        raise AssertionError(f"it was not seen in {most} frames")


@pytest.fixture(params=[False, True], ids=["proc", "iterator"])
def frames(request: pytest.FixtureRequest) -> Frames:
    return Frames(quick=request.param)


@pytest.mark.root
def test_with_an_iterator_a_steady_frame_reads_no_file_of_a_process_that_sleeps():
    if tasks.connect(Root()) is None:
        lacking("no BPF iterator here")
    frames = Frames(quick=True)
    with made.crowd(SIZE):
        frames.steady()
        reads: list[int] = []
        for _ in range(6):  # what else begins on this host is read in full: the quietest counts
            before = frames.root.reads.files
            frames.next()
            reads.append(frames.root.reads.files - before)
    assert min(reads) < SIZE


def test_a_steady_frame_reads_about_one_file_of_a_process_that_sleeps(frames: Frames):
    with made.crowd(SIZE):
        first = frames.root.reads.files
        frames.next()
        cold = frames.root.reads.files - first
        frames.steady()
        warm = None
        for _ in range(
            5
        ):  # what else begins on this host is read in full: the quietest frame counts
            before = frames.root.reads.files
            listed = len(frames.next())
            read = frames.root.reads.files - before
            warm = read if warm is None else min(warm, read)
    assert cold > 15 * SIZE
    assert warm < 2 * listed + 400  # a turn's share of full readings, mounts, this test itself


def test_a_steady_frame_keeps_the_records_of_those_that_sleep(frames: Frames):
    with made.crowd(20) as parent:
        frames.steady()
        one, other = frames.next(), frames.next()
        children = [pid for pid, process in other.items() if process.ppid == parent]
        assert len(children) == 20
        assert all(one[pid] is other[pid] for pid in children)


ON_COMMAND = """
say("ready")
for line in sys.stdin:
    exec(line)
    say("done")
"""


@contextmanager
def obedient() -> Iterator[tuple[int, Callable[[str], None]]]:
    """Keep a process that does what it is told; yield its pid and how to tell it."""
    command = [sys.executable, "-I", "-S", "-c", made.PRELUDE + ON_COMMAND]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        stdin, stdout = child.stdin, child.stdout

        def tell(code: str) -> None:
            stdin.write(code.encode() + b"\n")
            stdin.flush()
            assert stdout.readline() == b"done\n"

        try:
            yield child.pid, tell
        finally:
            stdin.close()
            child.wait()


@pytest.mark.root
def test_unshare_of_an_old_process_is_seen_within_its_turn(frames: Frames):
    with obedient() as (pid, tell):
        for _ in range(YOUNG + ACTIVE + 2):
            frames.next()
        before = frames.spaces[pid]["uts"]
        tell("unshare(NEWUTS)")
        inode = made.inode(pid, "uts")
        assert inode != before
        frames.until(lambda _: frames.spaces[pid]["uts"] == inode, ACTIVE)


def test_what_an_old_process_did_before_it_slept_again_is_seen_within_its_turn(frames: Frames):
    with obedient() as (pid, tell):
        for _ in range(YOUNG + ACTIVE + 2):
            frames.next()
        assert frames.next()[pid].no_new_privs is False
        tell("libc.prctl(38, 1, 0, 0, 0)")  # PR_SET_NO_NEW_PRIVS, which no token has
        frames.until(lambda found: found[pid].no_new_privs is True, ACTIVE)


@pytest.mark.root
def test_unshare_of_a_young_process_is_seen_in_the_next_frame(frames: Frames):
    frames.steady()
    with obedient() as (pid, tell):
        frames.next()
        tell("unshare(NEWUTS)")
        frames.next()
        assert frames.spaces[pid]["uts"] == made.inode(pid, "uts")


def test_an_exec_is_seen_in_the_next_frame(frames: Frames):
    with obedient() as (pid, tell):
        for _ in range(YOUNG + ACTIVE + 2):
            frames.next()
        # It becomes a program that says what it is asked to say, so that it is known to be there.
        again = "import sys; print('done', flush=True); sys.stdin.read()"
        tell(f"os.execv({sys.executable!r}, ['another', '-S', '-c', {again!r}])")
        assert frames.next()[pid].command[0] == "another"


def test_a_program_executed_while_many_are_read_is_read_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "_CROWD", 1)
    frames = Frames(quick=True)
    frames.steady()
    again = "import sys; print('done', flush=True); sys.stdin.read()"
    ask, told = Table.details, []
    with obedient() as (pid, tell):

        def details(table: Table) -> object:
            """Have it execute another program between its command line and what is told of it."""
            if not told:
                tell(f"os.execv({sys.executable!r}, ['another', '-S', '-c', {again!r}])")
            told.append(ask(table))
            return told[-1]

        monkeypatch.setattr(Table, "details", details)
        assert frames.next()[pid].command[0] == "another"
    if told[0] is None:
        lacking("no BPF iterator over details here")


def test_a_parents_end_is_seen_in_the_next_frame(frames: Frames):
    code = "pid = os.fork()\nif pid == 0:\n    wait()\n    os._exit(0)\nsay(pid)\nwait()\n"
    code = code.replace("if pid == 0:\n", "if pid == 0:\n    os.close(1)\n")
    command = [sys.executable, "-I", "-S", "-c", made.PRELUDE + code]
    read, write = os.pipe()
    with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE) as parent:
        os.close(read)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            frames.steady()
            assert frames.next()[child].ppid == parent.pid
            parent.kill()
            parent.wait()
            assert frames.next()[child].ppid != parent.pid
        finally:
            os.close(write)


@pytest.mark.root
def test_a_process_moved_while_it_sleeps_is_seen_within_its_turn(frames: Frames):
    top = Path("/sys/fs/cgroup")
    hierarchy = next(path for path in (top / "pids", top) if (path / "cgroup.procs").exists())
    directory = hierarchy / f"cinspect-test-moved-{os.getpid()}"
    with made.process("say('ready')\nwait()") as (pid, _):
        directory.mkdir()
        try:
            frames.steady()
            (directory / "cgroup.procs").write_text(str(pid))
            frames.until(
                lambda found: any(
                    entry.path.endswith(directory.name) for entry in found[pid].cgroups
                ),
                IDLE,
            )
        finally:
            (hierarchy / "cgroup.procs").write_text(str(pid))
            directory.rmdir()


CHURN = """
say("ready")
end = time.monotonic() + 6
number = 0
while time.monotonic() < end:
    number += 1
    if os.fork() == 0:
        os.close(1)
        os.execv("/bin/sh", ["churn-%d" % number, "-c", "sleep 0.05; exit %d" % (number % 99)])
    time.sleep(0.01)
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
wait()
"""


def test_no_row_is_wrong_while_a_hundred_processes_a_second_come_and_go(frames: Frames):
    churn(frames)


def test_no_row_is_wrong_where_the_iterator_tells_of_each_new_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "_CROWD", 1)
    churn(Frames(quick=True))


def churn(frames: Frames) -> None:
    names: dict[tuple[int, int], int] = {}
    with made.process(CHURN) as (parent, _):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            found = frames.next()
            mine = [one for one in found.values() if one.ppid == parent and one.command]
            for process in mine:
                check(process, found[parent], names)
    assert len(names) > 20


def check(process: Process, parent: Process, names: dict[tuple[int, int], int]) -> None:
    """Fail where a row mixes two processes: each names itself and what it does by one number."""
    first, *_, last = process.command
    assert process.namespace_pids[0] == process.pid
    if not first.startswith("churn-"):
        assert process.command == parent.command  # it has not executed yet
        return
    number = int(first.removeprefix("churn-"))
    assert last.endswith(f"exit {number % 99}")
    assert names.setdefault((process.pid, process.start_ticks), number) == number


def test_memory_is_flat_over_many_frames_with_processes_that_come_and_go(frames: Frames):
    def life() -> None:
        for _ in range(5):
            subprocess.run(["/bin/true"], check=True)
        frames.next()

    for _ in range(IDLE * 2):
        life()
    gc.collect()
    tracemalloc.start()
    try:
        life()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(150):
            life()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Every process may have been read anew meanwhile, and so be traced: once, some kB each.
    assert after - before < 6000 * len(frames.next())


def test_no_descriptor_is_left_behind(frames: Frames):
    frames.steady()
    for _ in range(5):
        with made.crowd(10):
            frames.next()
            frames.next()
    listed = frames.next()
    targets: list[str] = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists
            targets.append(os.readlink(f"/proc/self/fd/{number}"))
    open_ones = [target for target in targets if target.endswith("/schedstat")]
    assert {int(target.split("/")[2]) for target in open_ones} <= set(listed)
    assert len(open_ones) <= len(listed)


def test_descriptors_kept_open_leave_most_of_the_limit_free(tmp_path: Path):
    kept = Kept(Root(str(tmp_path)), share=0.0)
    (tmp_path / "x").write_bytes(b"1")
    file = File("x")
    assert kept.read(file) == b"1"
    assert (file.fd, kept.held) == (-1, 0)


def test_a_long_file_is_read_to_its_end(tmp_path: Path):
    kept = Kept(Root(str(tmp_path)))
    (tmp_path / "x").write_bytes(b"1" * 9000)
    file = File("x")
    assert len(kept.read(file)) == len(kept.read(file)) == 9000
    kept.close(file)
    assert kept.held == 0


class Group:
    """A cgroup of each hierarchy that takes a limit on tasks, or else any."""

    def __init__(self, name: str) -> None:
        top = Path("/sys/fs/cgroup")
        self.hierarchy = top / "pids" if (top / "pids").is_dir() else top
        self.path = f"/{name}"
        self.directory = self.hierarchy / name


@pytest.fixture
def group() -> Iterator[Group]:
    group = Group(f"cinspect-test-steady-{os.getpid()}")
    group.directory.mkdir()
    try:
        yield group
    finally:
        if group.directory.is_dir():
            group.directory.rmdir()


def found(reading: cgroups.CgroupsReading, group: Group) -> cgroups.Cgroup | None:
    return next(
        (
            one
            for one in reading.cgroups
            if one.path == group.path and (one.pids is not None or one.hierarchy == "")
        ),
        None,
    )


@pytest.mark.root
def test_a_steady_frame_lists_no_directory_of_cgroups_and_reads_their_pulse(group: Group):
    root, reader = Root(), cgroups.Reader()
    cold_from = root.reads.files
    first = reader.read(root)
    cold = root.reads.files - cold_from
    for _ in range(4):
        reader.read(root)
    before = root.reads.files
    again = reader.read(root)
    warm = root.reads.files - before
    assert warm < cold / 2
    assert len(again.cgroups) >= len(first.cgroups) - 50
    assert found(reader.read(root), group) is found(reader.read(root), group)


@pytest.mark.root
def test_of_many_cgroups_of_version_1_that_have_none_below_them_one_is_listed(group: Group):
    if group.hierarchy.name != "pids":
        requirements.absent_here("no hierarchy of version 1 that limits processes")
    below = [group.directory / f"c{number}" for number in range(30)]
    listed: list[object] = []
    listdir = os.listdir

    def noted(directory: int) -> list[str]:
        listed.append(directory)
        return listdir(directory)

    for directory in below:
        directory.mkdir()
        (directory / "pids.max").write_text(directory.name[1:])
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(root_module.os, "listdir", noted)
            reading = cgroups.read(Root())
    finally:
        for directory in below:
            directory.rmdir()
    assert len(listed) <= len(reading.cgroups) - 25
    limits = {one.path: one.pids and one.pids.limit for one in reading.cgroups if one.pids}
    assert [limits[f"{group.path}/c{number}"] for number in range(30)] == list(range(30))


@pytest.mark.root
def test_a_second_frame_reads_of_each_cgroup_only_what_tells_that_nothing_happened(group: Group):
    while (group.directory.stat().st_ino + 2) % TURN == 0:  # the second frame would be its turn
        group.directory.rmdir()
        group.directory.mkdir()
    root, reader = Root(), cgroups.Reader()
    reader.read(root)
    often: Counter[str] = Counter()
    read, told = Kept.read, Root.told

    def noted(kept: Kept, file: File) -> bytes:
        often[file.name] += 1
        return read(kept, file)

    def opened(root: Root, name: str) -> bytes:
        often[name] += 1
        return told(root, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kept, "read", noted)
        patch.setattr(Root, "told", opened)
        reader.read(root)
    again = {os.path.basename(name) for name in often if name.startswith(f"{group.directory}/")}
    assert again == set(pulse_files(frozenset(os.listdir(group.directory))))


@pytest.mark.root
def test_a_limit_that_is_written_is_seen_in_the_next_frame(group: Group):
    if not (group.directory / "pids.max").exists():
        requirements.absent_here("no hierarchy with pids here: nothing to limit")
    root, reader = Root(), cgroups.Reader()
    for _ in range(3):
        reader.read(root)
    (group.directory / "pids.max").write_text("77")
    one = found(reader.read(root), group)
    assert one is not None
    assert one.pids is not None
    assert one.pids.limit == 77


@pytest.mark.root
def test_a_cgroup_made_removed_and_made_again_is_another_one(group: Group):
    root, reader = Root(), cgroups.Reader()
    for _ in range(3):
        reader.read(root)
    one = found(reader.read(root), group)
    assert one is not None
    group.directory.rmdir()
    group.directory.mkdir()
    other = found(reader.read(root), group)
    assert other is not None
    assert other.inode == group.directory.stat().st_ino != one.inode
    group.directory.rmdir()
    assert found(reader.read(root), group) is None


@pytest.mark.root
def test_a_new_cgroup_is_seen_in_the_next_frame_with_those_below_it(group: Group):
    root, reader = Root(), cgroups.Reader()
    for _ in range(3):
        reader.read(root)
    below = group.directory / "below"
    below.mkdir()
    try:
        paths = {one.path for one in reader.read(root).cgroups}
    finally:
        below.rmdir()
    assert f"{group.path}/below" in paths
    assert f"{group.path}/below" not in {one.path for one in reader.read(root).cgroups}


@pytest.mark.root
def test_what_a_cgroup_says_besides_is_read_once_while_nothing_happens(group: Group):
    root, reader = Root(), cgroups.Reader()
    for _ in range(3):
        reader.read(root)
        reader.read_depth(root)
    reader.read(root)
    before = root.reads.files
    depth = reader.read_depth(root)
    assert root.reads.files - before < 10 * max(20, len(depth.depths) // 2)
    assert any(path == group.path for _, path in depth.depths)


@pytest.mark.root
def test_watches_tell_of_writes_and_of_directories_made_and_removed(group: Group):
    watches = inotify.Watches()
    watch = watches.add(str(group.directory))
    (group.directory / "below").mkdir()
    (group.directory / "below").rmdir()
    told = [
        (one.watch, one.mask & (inotify.CREATE | inotify.DELETE), one.name)
        for one in watches.happened()
    ]
    assert told == [(watch, inotify.CREATE, "below"), (watch, inotify.DELETE, "below")]
    watches.remove(watch)
    (group.directory / "below").mkdir()
    (group.directory / "below").rmdir()
    assert [one for one in watches.happened() if not one.mask & inotify.IGNORED] == []
