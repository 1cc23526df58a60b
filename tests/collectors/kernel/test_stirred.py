"""Cgroups in which nothing ran are hardly read, and what happens in one is seen in the next frame all the same."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.bpf import tasks
from collectors.cgroupfs import v2
from collectors.cgroupfs.again import REST, TURN, WARM, Again
from collectors.cgroupfs.group import Group, Known
from collectors.errors import Problems
from collectors.formats.pressure import Pressure, PressureLine
from collectors.kept import File, Kept
from collectors.kernel import cgroups, processes
from collectors.kernel.cgroups import Cgroup, Hierarchy
from collectors.kernel.stirred import Stirred
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel.test_cgroups_live import Made, group
from tests.requirements import absent_here, lacking

__all__ = ("group",)

pytestmark = pytest.mark.root

ON_COMMAND = """
import ctypes, os, sys, threading, time
for path in sys.argv[1:]:
    open(path, "w").write("0")
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
def apart(path):
    global leave
    leave = threading.Event()
    entered = threading.Event()
    def inside():
        open(path, "w").write(str(threading.get_native_id()))
        entered.set()
        while not leave.wait(0.001):
            burn(0.01)
    threading.Thread(target=inside, daemon=True).start()
    entered.wait()
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


GROWING = (
    "memory.current",
    "memory.usage_in_bytes",
    "io.stat",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)


class Frames:
    """The collectors of processes and cgroups as a running sampler has them."""

    def __init__(self, made: Made) -> None:
        if tasks.connect(Root()) is None:
            lacking("no BPF iterator here")
        self._made = made
        self._root = Root()
        table = Table()
        self._stirred = Stirred(table)
        self._processes = processes.Reader(table)
        self._cgroups = cgroups.Reader(self._stirred.take)

    def next(self) -> dict[str, Cgroup]:
        self._processes.read(self._root)
        return self._made.groups(self._cgroups.read(self._root))

    def all(self) -> tuple[Cgroup, ...]:
        self._processes.read(self._root)
        return self._cgroups.read(self._root).cgroups

    def rest(self) -> None:
        """Go on until all that rests is believed to."""
        for _ in range(WARM + 8):
            self.next()

    def below(self, name: str) -> Cgroup:
        """Return one below the made ones, of the hierarchy that can tell whether it is frozen."""
        self._processes.read(self._root)
        (found,) = [
            one
            for one in self._cgroups.read(self._root).cgroups
            if one.path == f"{self._made.path}/{name}" and one.frozen is not None
        ]
        return found

    def usage(self) -> int:
        return max(
            one.cpu.usage_usec for one in self.next().values() if one.cpu and one.cpu.usage_usec
        )


class Child:
    """A process that does what it is told to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid

    def do(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self.hear("done")

    def hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == word + "\n"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def child(*entrances: str) -> Iterator[Child]:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", ON_COMMAND, *entrances],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        one = Child(process)
        try:
            one.hear("ready")
            yield one
        finally:
            process.kill()


def test_a_cgroup_at_rest_is_read_in_full_in_its_turn_alone(
    group: Made, monkeypatch: pytest.MonkeyPatch
):
    often: Counter[str] = Counter()
    read, told = Kept.read, Root.told

    def noted(kept: Kept, file: File) -> bytes:
        often[file.name] += 1
        return read(kept, file)

    def opened(root: Root, name: str) -> bytes:
        often[name] += 1
        return told(root, name)

    frames = Frames(group)
    with child(*group.entrances()):
        frames.rest()
        monkeypatch.setattr(Kept, "read", noted)
        monkeypatch.setattr(Root, "told", opened)
        for _ in range(REST):
            frames.next()
    for hierarchy in group.hierarchies:
        own = {
            os.path.basename(name): count
            for name, count in often.items()
            if os.path.dirname(name) == str(group.directory(hierarchy))
        }
        # What grows by itself comes ten times as often, pressure that was felt as fast as it falls.
        rest = {name: own[name] for name in own if name not in GROWING and "pressure" not in name}
        assert rest
        assert max(rest.values()) <= 3, own  # its rules have a turn too, others may write to it
        assert all(own[name] <= REST // TURN + 3 for name in own if name in GROWING), own


def test_a_cgroup_at_rest_is_not_even_visited(group: Made, monkeypatch: pytest.MonkeyPatch):
    visits: Counter[tuple[str, str]] = Counter()
    read = Again.read

    def noted(again: Again, known: Known, before: Cgroup, problems: Problems) -> Cgroup:
        visits[known.key] += 1
        return read(again, known, before, problems)

    frames = Frames(group)
    with child(*group.entrances()):
        frames.rest()
        frames.rest()  # what pressure there was has begun to fall
        monkeypatch.setattr(Again, "read", noted)
        for _ in range(3 * TURN):
            frames.next()
    for hierarchy in group.hierarchies:
        often = visits[hierarchy.mountpoint, group.path]
        names = {path.name for path in group.directory(hierarchy).iterdir()}
        if names.isdisjoint(GROWING) and hierarchy.version == 1:
            assert often <= 1, hierarchy
        else:
            assert often <= 3 * TURN // v2.FALLING[0] + 4, hierarchy


def test_a_process_that_nobody_waited_for_does_not_keep_a_cgroup_from_rest(
    group: Made, monkeypatch: pytest.MonkeyPatch
):
    visits: Counter[tuple[str, str]] = Counter()
    read = Again.read

    def noted(again: Again, known: Known, before: Cgroup, problems: Problems) -> Cgroup:
        visits[known.key] += 1
        return read(again, known, before, problems)

    frames = Frames(group)
    with child(*group.entrances()) as one:
        one.do("os.fork() or os._exit(0)")
        frames.rest()
        monkeypatch.setattr(Again, "read", noted)
        for _ in range(TURN):
            frames.next()
    often = {
        hierarchy.mountpoint: visits[hierarchy.mountpoint, group.path]
        for hierarchy in group.hierarchies
    }
    assert max(often.values()) <= TURN // v2.FALLING[0] + 2, often


def act(chance: random.Random, paths: Sequence[Path], pid: int) -> None:
    """Make, remove or limit a cgroup, or move a process, where that can be done."""
    path = chance.choice(paths)
    with contextlib.suppress(OSError):  # with one below it, or none above
        if not path.is_dir():
            path.mkdir()
        elif chance.random() < 0.5:
            path.rmdir()
        else:
            (path / "pids.max").write_text(str(chance.randrange(10, 1000)))
    if chance.random() < 0.3:
        with contextlib.suppress(OSError):
            (chance.choice(paths) / "cgroup.procs").write_text(str(pid))


def told(group: Made, found: Iterable[Cgroup]) -> dict[tuple[str, str], tuple[object, ...]]:
    return {
        (each.hierarchy, each.path): (each.inode, each.processes, each.pids and each.pids.limit)
        for each in found
        if each.path.startswith(group.path)
    }


def test_whatever_is_done_to_cgroups_at_rest_is_told_as_a_first_reading_tells_it(group: Made):
    file = group.find("pids.max")
    if file is None:
        lacking("no hierarchy of this host limits processes")
    chance, frames = random.Random(7), Frames(group)
    paths = [file.parent / name for name in ("a", "b", "a/a", "a/b", "b/a")]
    seen: set[int] = set()
    with child() as one:
        frames.rest()
        for number in range(60):
            for _ in range(chance.randrange(6) if number % 3 == 0 else 0):
                act(chance, paths, one.pid)
            now = told(group, cgroups.read(Root()).cgroups)
            assert told(group, frames.all()) == now, number
            seen.add(len(now))
    assert len(seen) > 3


def test_files_that_a_controller_brings_are_read_from_the_next_frame_on(group: Made):
    unified = next((one for one in group.hierarchies if one.version == 2), None)
    here = "" if unified is None else (group.directory(unified) / "cgroup.controllers").read_text()
    if unified is None or "pids" not in here:
        absent_here("no cgroup of version 2 that may be given the limit of processes")
    below = group.directory(unified) / "below"
    below.mkdir()
    root, reader = Root(), cgroups.Reader()
    for _ in range(3):
        reader.read(root)

    def limit() -> int | None:
        (found,) = [one for one in reader.read(root).cgroups if one.path == f"{group.path}/below"]
        return found.pids and found.pids.limit

    assert limit() is None
    (group.directory(unified) / "cgroup.subtree_control").write_text("+pids")
    (below / "pids.max").write_text("66")
    assert limit() == 66


def test_memory_that_others_take_from_a_cgroup_at_rest_is_seen_in_its_turn(group: Made):
    """A file's pages are the first reader's, and go when somebody else empties the file."""
    frames = Frames(group)

    def held() -> int:
        return max((one.memory.current_bytes or 0) for one in frames.next().values() if one.memory)

    if group.find("memory.usage_in_bytes") is None and group.find("memory.current") is None:
        lacking("no cgroup that counts memory")
    with tempfile.TemporaryFile(dir="/dev/shm") as file, child(*group.entrances()) as one:
        one.do(f"open('/proc/{os.getpid()}/fd/{file.fileno()}', 'wb').write(bytes(16 << 20))")
        frames.rest()
        full = held()
        assert full >= 16 << 20
        file.truncate(0)
        assert min(held() for _ in range(TURN)) <= full - (15 << 20)


def test_a_cgroup_at_rest_that_is_frozen_from_above_is_seen_in_the_next_frame(group: Made):
    file = group.find("freezer.state") or group.find("cgroup.freeze")
    if file is None:
        lacking("no cgroup that can be frozen")
    below = file.parent / "below"
    below.mkdir()
    frames = Frames(group)
    frames.rest()
    assert frames.below(below.name).frozen is False
    file.write_text("FROZEN" if file.name == "freezer.state" else "1")
    try:
        assert frames.below(below.name).frozen is True
    finally:
        file.write_text("THAWED" if file.name == "freezer.state" else "0")


def pressure(*averages: float) -> Pressure:
    return Pressure(PressureLine(*averages, 7), PressureLine(0.0, 0.0, 0.0, 7))


def record(**pressures: Pressure) -> Cgroup:
    return Cgroup(
        hierarchy="",
        path="/",
        inode=1,
        controllers=(),
        processes=0,
        populated=False,
        frozen=False,
        pressure=pressures,
    )


@pytest.mark.parametrize(
    ("pressures", "frames"),
    [
        ({}, 0),
        ({"cpu": pressure(0.0, 0.0, 0.0)}, 0),
        ({"cpu": pressure(0.0, 0.0, 0.3)}, v2.FALLING[2]),
        ({"cpu": pressure(0.0, 0.1, 0.3)}, v2.FALLING[1]),
        ({"cpu": pressure(0.0, 0.1, 0.3), "io": pressure(0.01, 0.0, 0.0)}, v2.FALLING[0]),
    ],
)
def test_pressure_is_read_again_as_fast_as_it_falls(pressures: dict[str, Pressure], frames: int):
    assert v2.falling(record(**pressures)) == frames


def test_only_pressure_that_can_fall_is_read_again(tmp_path: Path):
    line = "{} avg10=0.00 avg60=1.00 avg300=2.00 total=9\n"
    for resource in ("cpu", "memory", "io"):
        (tmp_path / f"{resource}.pressure").write_text(line.format("some") + line.format("full"))
    root = Root(str(tmp_path))
    one = Group.open(root, Hierarchy(2, "", (), "/"), "/", Problems())
    one.close()
    before = root.reads.files
    still, falls = pressure(0.0, 0.0, 0.0), pressure(3.0, 2.0, 2.5)
    said = v2.fallen(one, record(cpu=falls, memory=still, io=still))
    assert root.reads.files - before == 1
    now = PressureLine(0.0, 1.0, 2.0, 9)
    assert said == {"cpu": Pressure(now, now), "memory": still, "io": still}


def test_what_runs_after_a_rest_is_seen_in_the_next_frame(group: Made):
    frames = Frames(group)
    with child(*group.entrances()) as one:
        frames.rest()
        before = frames.usage()
        one.do("burn(0.05)")
        assert frames.usage() - before >= 40_000


def test_one_that_is_moved_in_or_ends_is_seen_in_the_next_frame_by_both_cgroups(group: Made):
    frames = Frames(group)
    with child() as one:
        frames.rest()
        assert {cgroup.processes for cgroup in frames.next().values()} == {0}
        for entrance in group.entrances():
            with open(entrance, "w") as file:
                file.write(str(one.pid))
        found = {name: cgroup.processes for name, cgroup in frames.next().items()}
        assert set(found.values()) == {1}, found
        frames.rest()
        one.end()
        assert {cgroup.processes for cgroup in frames.next().values()} == {0}


def test_a_thread_that_is_in_another_cgroup_than_its_process_is_not_taken_to_rest(group: Made):
    path = group.find("cpuacct.usage")
    if path is None:
        lacking("no cgroup of version 1 that counts processor time")
    frames = Frames(group)
    with child() as one:
        one.do(f"apart({str(path.parent / 'tasks')!r})")
        frames.rest()
        for _ in range(3):
            before = frames.usage()
            one.do("burn(0.05)")
            assert frames.usage() > before
        os.kill(one.pid, signal.SIGKILL)


def test_a_limit_that_is_written_to_a_cgroup_at_rest_is_seen_in_the_next_frame(group: Made):
    frames = Frames(group)
    with child(*group.entrances()):
        frames.rest()
        group.find("pids.max").write_text("77")
        assert 77 in {one.pids.limit for one in frames.next().values() if one.pids}
