"""The init is forked before its container is known, and goes where there comes to be none."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests import requirements

COMES_AFTER = "CLONE_VM|CLONE_VFORK|CLONE_PARENT"
"""How a spare goes over into the container's init."""


def clones(runtime, tmp_path, *words: str, **options) -> list[str]:
    """Run a command that goes well; return its calls of clone3."""
    trace = tmp_path / "trace"
    strace = ("strace", "--follow-forks", "--quiet=all", "--trace=clone3", "--output", trace)
    state = str(runtime.directory / "state")
    done = subprocess.run(
        (*strace, *runtime.command, "--root", state, *words),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "here\n"
    return re.findall(r"clone3\(\{flags=([A-Z_|]+)", trace.read_text())


def left(runtime) -> list[str]:
    """Return the processes of the runtime's that are still there after five seconds."""
    deadline = time.monotonic() + 5
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if os.fsencode(runtime.directory) in line:
                found.append(str(path))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _strace():
    requirements.commands("strace")


def test_a_spare_becomes_the_init(runtime, tmp_path):
    bundle = runtime.bundle("echo", "here")
    first, second = clones(runtime, tmp_path, "run", "--bundle", bundle, "one")
    assert "CLONE_NEW" not in first
    assert COMES_AFTER in second
    assert not left(runtime)


JOINED = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")]
JOINED.append({"type": "network", "path": "/proc/self/ns/net"})


@pytest.mark.parametrize(
    ("words", "changes"),
    [(("--preserve-fds", "1"), {}), ((), {"linux": {"namespaces": JOINED}})],
)
def test_where_none_can_the_init_is_cloned(runtime, tmp_path, words, changes):
    bundle = runtime.bundle("echo", "here", **changes)
    descriptor = os.open("/", os.O_RDONLY)
    try:
        os.dup2(descriptor, 3)
        made = clones(runtime, tmp_path, "run", *words, "--bundle", bundle, "one", pass_fds=(3,))
    finally:
        os.close(descriptor)
    assert not any(COMES_AFTER in each for each in made)
    assert len(made) == (1 if words else 2)
    assert not left(runtime)


def test_an_exec_of_something_so_called_forks_no_spare(runtime, tmp_path):
    runtime.running("one")
    words = ("exec", "one", "busybox", "sh", "-c", "echo here", "run")
    (only,) = clones(runtime, tmp_path, *words)
    assert COMES_AFTER not in only


def test_a_command_that_fails_leaves_no_spare(runtime):
    bundle = runtime.bundle("true")
    for words in (("run", "--bundle", bundle, "a/b"), ("create", "--bundle", "/nowhere", "one")):
        assert runtime(*words, check=False).returncode == 1
        assert not left(runtime)


def test_a_spare_whose_parent_is_killed_ends(runtime):
    bundle = runtime.bundle("true")
    state = str(runtime.directory / "state")
    for milliseconds in range(20, 60, 5):
        command = (*runtime.command, "--root", state, "run", "--bundle", bundle, "one")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(milliseconds / 1000)
        process.kill()
        process.wait()
        assert not left(runtime)
        runtime("delete", "--force", "one")
