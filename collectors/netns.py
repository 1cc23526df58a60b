"""Opens netlink sockets in other network namespaces: by a thread that is thrown away afterwards."""

import errno
import os
import socket
import threading
from collections.abc import Mapping

from collectors.errors import Problem
from collectors.root import translate
from collectors.syscalls import CLONE_NEWNET, setns

ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
"""Protocols of netlink(7)."""
AT_ONCE = 64
"""Namespaces to have a socket in at a time: a descriptor each."""


def enter(
    pids: Mapping[int, int], protocol: int = ROUTE
) -> tuple[dict[int, socket.socket], dict[int, Problem]]:
    """Open a netlink socket in each namespace, by inode, and say which ones refused.

    `pids` has a process of each. A namespace is entered by a thread for itself (setns(2)), and the
    socket stays in it. Nothing forks: pyroute2's own way does, and this process has threads. One
    whose process went away is in neither. The caller closes the sockets.
    """
    opened: dict[int, socket.socket] = {}
    problems: dict[int, Problem] = {}

    def work() -> None:
        for inode, pid in pids.items():
            name = f"proc/{pid}/ns/net"
            try:
                opened[inode] = _socket_of(f"/{name}", inode, protocol)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except OSError as error:
                problems[inode] = translate(error, name, "setns").problem()

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    return opened, problems


def _socket_of(path: str, inode: int, protocol: int) -> socket.socket:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_ino != inode:
            raise ProcessLookupError(errno.ESRCH, "another process by now", path)
        # One's own needs no right to enter it.
        if status.st_ino != os.stat("/proc/thread-self/ns/net").st_ino:
            setns(fd, CLONE_NEWNET)
        return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, protocol)
    finally:
        os.close(fd)
