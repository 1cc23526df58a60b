"""Enters network namespaces and asks each for its links."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice

from msgspec import Struct

from collectors.errors import Problem
from collectors.links.records import Interface
from collectors.root import translate
from collectors.syscalls import CLONE_NEWNET, setns

_AT_ONCE = 64
"""Namespaces with a socket open at a time: a descriptor each."""


class Answer(Struct, frozen=True):
    """What one namespace said of its links; none where it could not be asked."""

    interfaces: tuple[Interface, ...] | None
    problem: Problem | None = None


def of_namespaces(asked: Mapping[int, int], known: Mapping[int, int]) -> Mapping[int, Answer]:
    """Return the links of network namespaces, by inode, each entered through one process.

    `known` has a process of every namespace, those that are not asked too: peers are recognized
    by them. One whose process went away is left out.
    """
    # Loaded only here: 140 ms and 13 MB that no other reading needs.
    from collectors.links import rtnetlink  # noqa: PLC0415

    answers: dict[int, Answer] = {}
    order = iter(sorted(asked))
    while batch := list(islice(order, _AT_ONCE)):
        with ExitStack() as stack:
            opened, refused = _enter({inode: asked[inode] for inode in batch})
            for one in opened.values():
                stack.callback(one.close)
            found, failed = asyncio.run(rtnetlink.links(opened, known))
        answers |= {inode: Answer(None, problem) for inode, problem in (refused | failed).items()}
        answers |= {inode: Answer(interfaces) for inode, interfaces in found.items()}
    return answers


def _enter(pids: Mapping[int, int]) -> tuple[dict[int, socket.socket], dict[int, Problem]]:
    """Open a netlink socket in each namespace: by a thread that is thrown away afterwards.

    A namespace is entered by a thread for itself (setns(2)), and the socket stays in it. Nothing
    forks: pyroute2's own way does, and this process has threads.
    """
    opened: dict[int, socket.socket] = {}
    problems: dict[int, Problem] = {}

    def work() -> None:
        for inode, pid in pids.items():
            name = f"proc/{pid}/ns/net"
            try:
                opened[inode] = _socket_of(f"/{name}", inode)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except OSError as error:
                problems[inode] = translate(error, name, "setns").problem()

    thread = threading.Thread(target=work, name="netns")
    thread.start()
    thread.join()
    return opened, problems


def _socket_of(path: str, inode: int) -> socket.socket:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_ino != inode:
            raise ProcessLookupError(errno.ESRCH, "another process by now", path)
        # One's own needs no right to enter it.
        if status.st_ino != os.stat("/proc/thread-self/ns/net").st_ino:
            setns(fd, CLONE_NEWNET)
        return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
    finally:
        os.close(fd)
