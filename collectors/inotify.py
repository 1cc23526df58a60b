"""Watches directories by inotify(7): which of them something happened in since one last asked."""

import contextlib
import os
import struct
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ctypes

MODIFY = 0x00000002
CREATE = 0x00000100
DELETE = 0x00000200
DELETE_SELF = 0x00000400
IGNORED = 0x00008000
OVERFLOW = 0x00004000
_ONLY_DIRECTORY = 0x01000000
_EVENT = struct.Struct("iIII")
_BUFFER = 65536


class Happened(NamedTuple):
    """One event: of `watch` -1 where the kernel's queue was too short, and some are lost."""

    watch: int
    mask: int
    name: str
    """The file in the directory; empty for the directory itself."""


class Watches:
    """Watches for the files of directories; a file's name is as the os module has it."""

    def __init__(self) -> None:
        """Raise OSError where there can be no (further) instance."""
        self._fd = _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def __del__(self) -> None:
        """End them all."""
        with contextlib.suppress(AttributeError):
            os.close(self._fd)

    def add(self, directory: str) -> int:
        """Watch a directory's files for writing, making and removing; raise OSError (ENOSPC: too many)."""
        mask = MODIFY | CREATE | DELETE | DELETE_SELF | _ONLY_DIRECTORY
        return _checked(_libc().inotify_add_watch(self._fd, os.fsencode(directory), mask))

    def remove(self, watch: int) -> None:
        """End one; what it was for may be gone already."""
        _libc().inotify_rm_watch(self._fd, watch)

    def happened(self) -> Iterator[Happened]:
        """Yield what happened since, each once; the kernel joins equal ones that follow each other."""
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size
                name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
                at += length
                yield Happened(watch, mask, name)


@cache
def _libc() -> "ctypes.CDLL":
    # Loaded with the first call: a single reading makes none, and it takes some milliseconds.
    import ctypes  # noqa: PLC0415

    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    import ctypes  # noqa: PLC0415 - as above

    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
