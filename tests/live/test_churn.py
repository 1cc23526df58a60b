"""A hundred processes a second come and go, some in namespaces of their own: no row is ever wrong."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import command
from tests.live.engine import Engine

pytestmark = pytest.mark.root

CHURN = """
import ctypes, os, sys, time
libc = ctypes.PyDLL(None)
spaces = (0, 0, 0x04000000, 0x08000000 | 0x00020000)  # none, none, uts, ipc and mnt
print(os.getpid(), flush=True)
made = 0
while os.getppid() != 1:
    pid = os.fork()
    if not pid:
        if spaces[made % 4]:
            libc.unshare(spaces[made % 4])
        time.sleep(made % 5 * 0.04)
        os._exit(0)
    made += 1
    time.sleep(0.01)
    while made % 8 == 0:
        try:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                break
        except ChildProcessError:
            break
"""
FRAMES = 20


@contextlib.contextmanager
def churning() -> Iterator[int]:
    """Make a hundred processes a second; yield the pid of their parent."""
    with subprocess.Popen(
        (sys.executable, "-I", "-S", "-c", CHURN), stdout=subprocess.PIPE, text=True
    ) as maker:
        try:
            assert maker.stdout is not None
            yield int(maker.stdout.readline())
        finally:
            maker.kill()


@pytest.fixture(scope="module")
def frames(engine: Engine) -> Iterator[tuple[str, int, list[Any]]]:
    """Return a container that churns within, the pid of what churns outside, and frames of both."""
    script = "while :; do /bin/true; /bin/true & done"
    with (
        engine.running("sh", "-c", script) as identifier,
        churning() as maker,
    ):
        words = (command.CINSPECT, *engine.options, "watch", "--interval", "0.2")
        done = subprocess.run(
            (*words, "--count", str(FRAMES)),
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        yield identifier, maker, [json.loads(line) for line in done.stdout.splitlines()]


Frames = tuple[str, int, list[Any]]


def test_every_frame_is_there_and_says_of_nothing_that_it_could_not_be_read(frames: Frames) -> None:
    assert len(frames[2]) == FRAMES
    for frame in frames[2]:
        for error in frame["errors"]:
            # Of process 1 a dump says where it was taken, as within a container.
            if error["path"].startswith("/proc/1/"):
                continue
            if error["path"].startswith(("/proc/", "/sys/fs/cgroup/")):
                assert error["error"] not in {"gone", "missing", "bug"}, error


def test_the_container_has_its_own_processes_and_no_other(frames: Frames) -> None:
    identifier, maker, taken = frames
    for frame in taken:
        (own,) = (each for each in frame["containers"] if each["id"] == identifier)
        rows = {each["pid"]: each for each in frame["processes"]}
        assert own["pid"] in own["pids"]
        for pid in own["pids"]:
            if pid in rows:
                assert rows[pid]["container"] == identifier, rows[pid]
                assert rows[pid]["ppid"] != maker
        for row in rows.values():
            if row["container"] == identifier:
                assert len(row["namespace_pids"]) == 2, row


def test_what_is_outside_is_no_part_of_it(frames: Frames) -> None:
    identifier, maker, taken = frames
    seen = 0
    for frame in taken:
        for row in frame["processes"]:
            if row["ppid"] == maker:
                seen += 1
                assert row["container"] != identifier, row
    assert seen > FRAMES


def test_a_pid_is_listed_once_and_no_number_is_below_nothing(frames: Frames) -> None:
    for frame in frames[2]:
        pids = [each["pid"] for each in frame["processes"]]
        assert len(pids) == len(set(pids))
        for row in frame["processes"]:
            assert row["cpu_seconds"] >= 0
            assert row["busy_cores"] is None or 0 <= row["busy_cores"] <= os.cpu_count() + 1, row
        (own,) = (each for each in frame["containers"] if each["id"] == frames[0])
        cores = own["resources"]["cpu"]["busy_cores"]
        assert cores is None or 0 <= cores <= os.cpu_count() + 0.5


def test_a_namespace_has_the_processes_that_are_in_it(frames: Frames) -> None:
    for frame in frames[2]:
        rows = {each["pid"]: each["namespaces"] for each in frame["processes"]}
        for namespace in frame["namespaces"]:
            assert namespace["processes"] == len(namespace["pids"])
            for pid in namespace["pids"]:
                inode = rows.get(pid, {}).get(namespace["type"])
                assert inode in {None, namespace["inode"]}, (namespace, rows[pid])
