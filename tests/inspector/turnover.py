"""A host on which containers come and go all the time, and what a process keeps in memory meanwhile.

Each has namespaces, a mount and cgroups of its own, and a process that starts others one after the
other. They are the kernel's: whoever looks at the host sees them.
"""

import contextlib
import gc
import os
import secrets
import shutil
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from benchmarks.crowd import hierarchies

CHURNER = r"""
import ctypes, os, select, signal, sys
alive, pause, shell, *tops = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
SPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000
DIE, ADOPT = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER
PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
def must(result, call):
    if result:
        raise OSError(ctypes.get_errno(), call)
def begin(name):
    for top in tops:
        os.mkdir(f"{top}/{name}")
    pid = os.fork()
    if pid:
        return pid
    must(libc.prctl(DIE, signal.SIGKILL), "prctl")
    for top in tops:
        file = "tasks" if os.path.exists(f"{top}/tasks") else "cgroup.procs"
        with open(f"{top}/{name}/{file}", "w") as entrance:
            entrance.write("0")
    must(libc.unshare(SPACES), "unshare")
    must(libc.mount(b"none", b"/", None, PRIVATE, None), "mount")
    must(libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None), "mount")
    inner = os.fork()
    if inner == 0:
        must(libc.prctl(DIE, signal.SIGKILL), "prctl")
        os.close(1)
        os.execv(shell, ["sh", "-c", "while :; do sleep 0.1; done"])
    os.waitpid(inner, 0)
    os._exit(0)
def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
def remove():
    for name in list(leaving):
        try:
            for top in tops:
                if os.path.isdir(f"{top}/{name}"):
                    os.rmdir(f"{top}/{name}")
            leaving.remove(name)
        except OSError:
            pass  # its processes are still ending
must(libc.prctl(ADOPT, 1), "prctl")
running, leaving, number = [], [], 0
os.write(1, b"ready\n")
while not select.select([0], [], [], float(pause))[0]:
    running.append((begin(f"t{number:06}"), f"t{number:06}"))
    number += 1
    if len(running) > int(alive):
        pid, name = running.pop(0)
        os.kill(pid, signal.SIGKILL)
        leaving.append(name)
    reap()
    remove()
"""
"""Single-threaded, so that it may unshare and fork; what it has made ends with it."""

ROOM = 24
"""A table may be longer by so many: what is there differs from moment to moment."""


@contextmanager
def turnover(alive: int = 6, pause: float = 0.1) -> Iterator[None]:
    """Keep so many containers, the oldest of which is replaced after each pause, in seconds."""
    name = f"cinspect-turnover-{secrets.token_hex(4)}"
    tops = [hierarchy / name for hierarchy in hierarchies()]
    shell = shutil.which("sh") or "/bin/sh"
    try:
        for top in tops:
            top.mkdir()
        words = [str(alive), str(pause), shell, *map(str, tops)]
        command = [sys.executable, "-I", "-S", "-c", CHURNER, *words]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as churner:
            assert churner.stdin is not None
            assert churner.stdout is not None
            assert churner.stdout.readline() == b"ready\n"
            try:
                yield
                assert churner.poll() is None, "the containers could not be made"
            finally:
                churner.stdin.close()
                churner.wait()
    finally:
        _remove(tops)


def _remove(tops: Sequence[Path]) -> None:
    """Remove the cgroups; processes that are still ending hold theirs for a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(top.is_dir() for top in tops):
        for directory in (part for top in tops for part in (*top.glob("*/"), top)):
            with contextlib.suppress(OSError):
                directory.rmdir()
        time.sleep(0.02)


class Held(NamedTuple):
    """What a process keeps at one moment."""

    rss_bytes: int
    descriptors: int
    objects: int
    """That the garbage collector knows of."""
    tables: dict[str, int]
    """By class and attribute: how much is in it, of all objects of the class together."""


def held(*roots: object) -> Held:
    """Return what this process keeps, and the tables of ours that can be reached from some objects."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir("/proc/self/fd")),
        objects=len(gc.get_objects()),
        tables=_tables(roots),
    )


def grown(before: Sequence[Held], after: Sequence[Held], *, room: int = ROOM) -> dict[str, str]:
    """Return what was never as much as it is at last: each with the most of before, and of after."""
    found: dict[str, str] = {}
    for name in sorted({name for one in after for name in one.tables}):
        was = max(one.tables.get(name, 0) for one in before)
        now = min(one.tables.get(name, 0) for one in after)
        if now > was * 1.05 + room:
            found[name] = f"{was} -> {now}"
    was, now = max(one.descriptors for one in before), min(one.descriptors for one in after)
    if now > was + room:
        found["descriptors"] = f"{was} -> {now}"
    return found


def _tables(roots: Iterable[object]) -> dict[str, int]:
    found: dict[str, int] = {}
    seen: set[int] = set()
    pending = list(roots)
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        pending += _reached(one)
        for attribute, value in _attributes(one) if _is_ours(one) else ():
            pending.append(value)
            if isinstance(value, dict | set | list | deque | array):
                name = f"{type(one).__module__}.{type(one).__name__}.{attribute}"
                found[name] = found.get(name, 0) + len(value)
    return found


def _reached(one: object) -> Iterable[object]:
    """Return what is in a container, or behind a function; records have no tables in them."""
    if isinstance(one, dict):
        return one.values()
    if isinstance(one, list | tuple | deque | set | frozenset):
        return one
    if isinstance(one, partial):
        return (one.func, *one.args, *one.keywords.values())
    behind = getattr(one, "__self__", None)
    return () if behind is None else (behind,)


def _is_ours(one: object) -> bool:
    module = type(one).__module__.partition(".")[0]
    return module in {"collectors", "inspector"} and not isinstance(one, Struct | tuple)


def _attributes(one: object) -> Iterator[tuple[str, object]]:
    yield from vars(one).items() if hasattr(one, "__dict__") else ()
    for kind in type(one).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(one, name) and name not in {"__dict__", "__weakref__"}:
                yield name, getattr(one, name)
