"""Opens netlink sockets in other network namespaces: by a thread that is thrown away afterwards."""

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from collectors.errors import Problem
from collectors.root import translate
from collectors.syscalls import CLONE_NEWNET, setns

T = TypeVar("T")
ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
"""Protocols of netlink(7)."""
_PATIENCE = struct.pack("@ll", 5, 0)
"""A `struct timeval`."""
AT_ONCE = 64
"""Namespaces to have a socket in at a time: a descriptor each."""


def enter(
    pids: Mapping[int, int], protocol: int = ROUTE
) -> tuple[dict[int, socket.socket], dict[int, Problem]]:
    """Open a netlink socket in each namespace, by inode, and say which ones refused.

    `pids` has a process of each. A namespace is entered by a thread for itself (setns(2)), and the
    socket stays in it. Nothing forks, for this process has threads. One whose process went away is
    in neither. The caller closes the sockets.
    """
    opened: dict[int, socket.socket] = {}
    problems: dict[int, Problem] = {}

    def work() -> None:
        now: int | None = None
        with suppress(OSError):  # of no /proc each one will say so
            now = os.stat("/proc/thread-self/ns/net").st_ino
        for inode, pid in pids.items():
            name = f"proc/{pid}/ns/net"
            try:
                # One's own needs no right to enter it.
                now = _move(f"/{name}", inode, now)
                opened[inode] = here(protocol)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except OSError as error:
                problems[inode] = translate(error, name, "setns").problem()

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    return opened, problems


@contextmanager
def within(
    doors: Mapping[int, Sequence[str]], ask: Callable[[], T]
) -> Generator[tuple[dict[int, socket.socket], dict[int, T], dict[int, Problem]]]:
    """Yield a route socket in each namespace and what `ask` returned there, by inode; and refusals.

    `doors` are paths that lead to it, of which the first that does is taken: mountpoints, open
    descriptors. `ask` runs on the thread that is in the namespace. One that went away is in none.
    """
    opened: dict[int, socket.socket] = {}
    answers: dict[int, T] = {}
    problems: dict[int, Problem] = {}

    def work() -> None:
        for inode, paths in doors.items():
            for path in paths:
                try:
                    _enter(path, inode)
                    opened[inode], answers[inode] = here(ROUTE), ask()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                except OSError as error:
                    problems[inode] = translate(error, path, "setns").problem()
                else:
                    problems.pop(inode, None)
                    break

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    try:
        yield opened, answers, problems
    finally:
        for one in opened.values():
            one.close()


def here(protocol: int) -> socket.socket:
    """Open a netlink socket in the calling thread's own network namespace; it waits some seconds at most."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
    return opened


def _enter(path: str, inode: int) -> None:
    """Move the calling thread into the namespace behind a path, if it is that one.

    Opened only when it is: whoever has the mountpoint could have put a pipe or a device there.
    """
    own = os.stat("/proc/thread-self/ns/net")
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if (status.st_dev, status.st_ino) != (own.st_dev, inode):
            raise ProcessLookupError(errno.ESRCH, "another file by now", path)
        fd = os.open(f"/proc/thread-self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        if own.st_ino != inode:
            setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)


def _move(path: str, inode: int, now: int | None) -> int:
    """Move the calling thread, which is in the namespace `now`, into another; return which one it is in."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_ino != inode:
            raise ProcessLookupError(errno.ESRCH, "another process by now", path)
        if inode != now:
            setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)
    return inode
