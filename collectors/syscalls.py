"""System calls that the standard library has not: openat2(2) and, before Python 3.12, setns(2)."""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import ctypes

CLONE_NEWNET = 0x40000000

_SYS_OPENAT2 = 437
"""The same on every architecture: the numbers from 424 on are shared."""
_PATH_MAX = 4096
"""With the final zero."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT = 0x01, 0x02, 0x04, 0x08, 0x10
_TRIES = 64
_HOW = struct.pack("=QQQ", _DIRECTORY, 0, _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
"""`struct open_how` of linux/openat2.h: flags, mode, resolve."""


def open_beneath(dir_fd: int, path: str) -> int:
    """Open a directory below another one; return its descriptor, which the caller closes.

    No component may be a symbolic link or another mount: OSError ELOOP, EXDEV. An empty path is
    the directory itself; a path may be longer than PATH_MAX. Kernels before 5.6, and sandboxes
    that refuse openat2(2), are walked component by component.
    """
    current: int | None = None
    for piece in _pieces(os.fsencode(path) or b"."):
        try:
            below = _openat2(dir_fd if current is None else current, piece)
        finally:
            if current is not None:
                os.close(current)
        current = below
    if current is None:
        raise ValueError("a path has at least one piece")
    return current


def reopen_regular(seen: int, name: str) -> int:
    """Open to read what an O_PATH descriptor names; raise OSError, EINVAL if it is no regular file.

    It is looked at before it is opened: that of a device could do something, of a FIFO wait.
    """
    if not stat.S_ISREG(os.fstat(seen).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    return os.open(
        f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )


def open_in_root(dir_fd: int, path: str, flags: int, *, mode: int = 0) -> int:
    """Open a path as if a directory were the root of all; return its descriptor.

    Links and `..` are followed and never lead out of it; the magic links of /proc are refused
    (openat2(2), RESOLVE_IN_ROOT). Raises OSError: ENOSYS or EPERM where the kernel (before 5.6) or a
    sandbox has no such call: there is no safe way without it.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, _NO_MAGICLINKS | _IN_ROOT)
    name = os.fsencode(path) or b"."
    for _ in range(_TRIES):
        fd: int = _libc().syscall(_SYS_OPENAT2, dir_fd, name, how, len(how))
        if fd >= 0:
            return fd
        # A rename meanwhile makes the kernel unsure whether `..` led out: it asks to try again.
        if _errno() != errno.EAGAIN:
            _fail(_errno(), "openat2", path)
    raise OSError(errno.EAGAIN, "openat2: renames below the root never end", path)


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that a descriptor names; raise OSError."""
    if _libc().setns(fd, kind) < 0:
        _fail(_errno(), "setns", f"descriptor {fd}")


@cache
def _libc() -> "ctypes.CDLL":
    # Loaded with the first call: most readings make none, and it takes some milliseconds.
    import ctypes  # noqa: PLC0415

    return ctypes.CDLL(None, use_errno=True)


def _errno() -> int:
    import ctypes  # noqa: PLC0415 - as above

    return ctypes.get_errno()


def _fail(number: int, call: str, subject: str) -> NoReturn:
    raise OSError(number, f"{call}: {os.strerror(number)}", subject)


def _pieces(path: bytes) -> Iterator[bytes]:
    """Cut a path at slashes into pieces that one call takes."""
    while len(path) >= _PATH_MAX:
        cut = path.rfind(b"/", 0, _PATH_MAX)
        if cut <= 0:
            break
        yield path[:cut]
        path = path[cut + 1 :]
    yield path


def _openat2(dir_fd: int, path: bytes) -> int:
    fd: int = _libc().syscall(_SYS_OPENAT2, dir_fd, path, _HOW, len(_HOW))
    if fd < 0:
        number = _errno()
        if number not in {errno.ENOSYS, errno.EPERM}:
            _fail(number, "openat2", os.fsdecode(path))
        return _open_stepwise(dir_fd, path)
    return fd


def _open_stepwise(dir_fd: int, path: bytes) -> int:
    current = os.open(".", _DIRECTORY, dir_fd=dir_fd)
    device = os.fstat(current).st_dev
    try:
        for part in path.split(b"/") if path != b"." else ():
            if part in {b"", b".", b".."}:
                _fail(errno.EINVAL, "open", os.fsdecode(path))
            below = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = below
            if os.fstat(current).st_dev != device:
                _fail(errno.EXDEV, "open", os.fsdecode(path))
    except OSError:
        os.close(current)
        raise
    return current
