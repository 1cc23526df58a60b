"""Makes many containers cheaply, as the kernel sees them: processes in namespaces and cgroups of their own."""

import contextlib
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")

FORKER = r"""
import ctypes, os, select, signal, sys
containers, processes, program, *directories = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
SPACES = 0x20000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000  # mnt uts ipc pid net
DIE = 1  # PR_SET_PDEATHSIG: whatever becomes of the benchmark, these end
def must(result, call):
    if result:
        raise OSError(ctypes.get_errno(), call)
def become(name):
    os.execv(program, [name, "1000000"])
def first(size):
    must(libc.prctl(DIE, signal.SIGKILL), "prctl")
    if select.select([0], [], [], 0)[0]:
        os._exit(0)  # standard input had ended before: the parent may have, too
    for number in range(size - 1):
        if os.fork() == 0:
            become("sleep")
    os.close(1)
    become("sleep")
for number in range(int(containers)):
    for directory in directories:
        file = "tasks" if os.path.exists(f"{directory}/tasks") else "cgroup.procs"
        with open(f"{directory}/c{number:05}/{file}", "w") as entrance:
            entrance.write("0")
    here = os.open("/proc/self/ns/pid", os.O_RDONLY)
    if os.fork() == 0:
        must(libc.unshare(SPACES), "unshare")
        if os.fork() == 0:
            first(int(processes))
        os.close(1)
        os.read(0, 1)
        os._exit(0)
    os.close(here)
for directory in directories:
    file = "tasks" if os.path.exists(f"{directory}/tasks") else "cgroup.procs"
    with open(f"{os.path.dirname(directory)}/{file}", "w") as entrance:
        entrance.write("0")
os.write(1, b"ready\n")
os.read(0, 1)
"""
"""Single-threaded, so that it may unshare and fork; its children end when its standard input does."""


def hierarchies() -> list[Path]:
    """Return up to four hierarchies in which cgroups can be made: those that count most."""
    unified = CGROUPS / "cgroup.controllers"
    if unified.exists():
        return [CGROUPS]
    wanted = ("memory", "cpu", "pids", "unified")
    return [CGROUPS / name for name in wanted if (CGROUPS / name).is_dir()]


@contextmanager
def crowd(containers: int, processes: int) -> Iterator[Path | None]:
    """Keep so many containers of so many processes each; yield the cgroup that they are in."""
    name = f"cinspect-crowd-{secrets.token_hex(4)}"
    tops = [hierarchy / name for hierarchy in hierarchies()]
    busybox = shutil.which("busybox") or shutil.which("sleep") or "/bin/sleep"
    try:
        for top in tops:
            top.mkdir()
            for number in range(containers):
                (top / f"c{number:05}").mkdir()
        with _running(containers, processes, busybox, tops):
            yield tops[0] if tops else None
    finally:
        _remove(tops)


@contextmanager
def _running(containers: int, processes: int, program: str, tops: Sequence[Path]) -> Iterator[None]:
    command = [sys.executable, "-I", "-S", "-c", FORKER, str(containers), str(processes), program]
    with subprocess.Popen(
        [*command, *map(str, tops)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as forker:
        assert forker.stdin is not None
        assert forker.stdout is not None
        try:
            if forker.stdout.readline() != b"ready\n":
                raise SystemExit("the crowd could not be made")
            yield
        finally:
            forker.stdin.close()
            forker.wait()


def _remove(tops: Sequence[Path]) -> None:
    """Remove the cgroups, those below first."""
    for top in tops:
        for directory in (*sorted(path for path in top.glob("*/")), top):
            _remove_one(directory)


def _remove_one(directory: Path) -> None:
    """Remove a cgroup; a process that is still ending holds its own for a moment."""
    deadline = time.monotonic() + 5
    while directory.is_dir() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            directory.rmdir()
