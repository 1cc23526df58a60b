"""Makes real processes for tests: in namespaces of their own, oddly named, or very many."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

KINDS = tuple(name for name in os.listdir("/proc/self/ns") if "_for_" not in name)
"""The types of namespaces that this kernel has."""

PRELUDE = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET, NEWTIME = 0x10000000, 0x20000000, 0x40000000, 0x80
def must(result, call):
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
def unshare(flags):
    must(libc.unshare(flags), "unshare")
def setns(fd):
    must(libc.setns(fd, 0), "setns")
def mount(source, target, kind, flags, data=None):
    must(libc.mount(source, target, kind, flags, data), "mount")
def say(*words):
    os.write(1, " ".join(map(str, words)).encode() + b"\\n")
def wait():
    os.read(0, 1)
"""
CROWD = """
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(1)
        wait()
        os._exit(0)
say("ready")
wait()
"""


@contextmanager
def process(code: str, *arguments: str) -> Iterator[tuple[int, list[str]]]:
    """Run Python code that says one line and then waits; yield its pid and the line's words.

    Whatever it forked ends with it, for all of them wait for the same pipe to close.
    """
    command = [sys.executable, "-I", "-S", "-c", PRELUDE + code, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise AssertionError(f"it said nothing: {child.stderr.read().decode()}")
            yield child.pid, line.decode().split()
        finally:
            child.stdin.close()
            child.wait()


@contextmanager
def crowd(size: int) -> Iterator[int]:
    """Keep that many idle processes alive; yield the pid of their parent."""
    with process(CROWD, str(size)) as (pid, _):
        yield pid


def inode(pid: int, kind: str) -> int:
    """Return the inode of a process's namespace, asked of the kernel in another way than we do."""
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
