"""Cgroups in which nothing ran are hardly read, and what happens in one is seen in the next frame all the same."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from collectors.bpf import tasks
from collectors.cgroupfs.walk import TURN, WARM
from collectors.kept import File, Kept
from collectors.kernel import cgroups, processes
from collectors.kernel.cgroups import Cgroup
from collectors.kernel.stirred import Stirred
from collectors.root import Root
from collectors.table import Table
from tests.collectors.kernel.test_cgroups_live import Made, group
from tests.requirements import lacking

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

    def rest(self) -> None:
        """Go on until all that rests is believed to."""
        for _ in range(WARM + 3):
            self.next()

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


def test_a_cgroup_at_rest_costs_no_file_but_in_its_turn(
    group: Made, monkeypatch: pytest.MonkeyPatch
):
    names: set[str] = set()
    read = Kept.read

    def noted(kept: Kept, file: File) -> bytes:
        names.add(os.path.dirname(file.name))
        return read(kept, file)

    frames = Frames(group)
    with child(*group.entrances()):
        frames.rest()
        monkeypatch.setattr(Kept, "read", noted)
        often: Counter[str] = Counter()
        for _ in range(TURN):
            names.clear()
            frames.next()
            often.update(names)
    own = [often[str(group.directory(one))] for one in group.hierarchies]
    # Once in its turn; pressure that was felt before may still be falling, others may write to it.
    assert max(own) <= TURN // 2
    assert sum(own) > 0


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
