"""Asks a namespace itself for its parent and its owner: ioctl_nsfs(2) on an open one."""

import array
import errno
import fcntl
import os
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Literal

from collectors.root import translate

Type = Literal["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"]
TYPES: tuple[Type, ...] = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")

_GET_USERNS = 0xB701
_GET_PARENT = 0xB702
_GET_OWNER_UID = 0xB704
"""_IO(0xb7, N) of linux/nsfs.h."""

_OF_PROCESS = re.compile(r"/proc/[0-9]+/ns/[a-z]+")
"""Links that the kernel made, whose file is a namespace at any rate."""
_NOT_SAID = frozenset({errno.EPERM, errno.ENOTTY, errno.EINVAL})
"""It is above the reader's own namespaces; or the kernel is older than 4.9."""


@dataclass(frozen=True, slots=True)
class Relations:
    """What one namespace says of itself; None where it does not."""

    type: Type
    parent: int | None = None
    owner_user_ns: int | None = None
    owner_uid: int | None = None


def explore(
    path: str, kind: Type, inode: int, found: MutableMapping[int, Relations], *, name: str
) -> None:
    """Add the namespace behind a path, its ancestors and its owners to `found`, by inode.

    Raises `Gone` when the path has become something else, and as `Root.read` does; `name` is the
    path within the root, for the error to name.
    """
    if inode in found:
        return
    try:
        fd = _open(path, inode, name)
    except OSError as error:
        raise translate(error, name, "open") from error
    try:
        _explore(fd, kind, inode, found)
    except OSError as error:
        raise translate(error, name, "ioctl") from error
    finally:
        os.close(fd)


def _open(path: str, inode: int, name: str) -> int:
    """Open only what is the namespace: elsewhere than in /proc a container could have put a pipe there."""
    if _OF_PROCESS.fullmatch(name):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(fd).st_ino != inode:
            os.close(fd)
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return fd
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_ino != inode:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(handle)


def _explore(fd: int, kind: Type, inode: int, found: MutableMapping[int, Relations]) -> None:
    owner = _follow(fd, _GET_USERNS, "user", found)
    parent = _follow(fd, _GET_PARENT, kind, found) if kind in {"user", "pid"} else None
    uid = _owner_uid(fd) if kind == "user" else None
    found[inode] = Relations(kind, parent, owner, uid)


def _follow(fd: int, request: int, kind: Type, found: MutableMapping[int, Relations]) -> int | None:
    """Return the inode of the namespace that a request opens, with all above it added."""
    related = _asked(lambda: fcntl.ioctl(fd, request))
    if related is None:
        return None
    try:
        inode = os.fstat(related).st_ino
        if inode not in found:
            _explore(related, kind, inode, found)
        return inode
    finally:
        os.close(related)


def _owner_uid(fd: int) -> int | None:
    uid = array.array("I", [0])
    return None if _asked(lambda: fcntl.ioctl(fd, _GET_OWNER_UID, uid)) is None else uid[0]


def _asked(request: Callable[[], int]) -> int | None:
    try:
        return request()
    except OSError as error:
        if error.errno in _NOT_SAID:
            return None
        raise
