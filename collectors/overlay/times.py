"""Tells when a file came to be: the birth time that statx(2) has and os.stat has not."""

import ctypes
import os
import struct
from collections.abc import Callable
from functools import cache

_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_SIZE = 256
"""Of `struct statx` in linux/stat.h."""
_MASK_AT, _BTIME_AT = 0, 80


def born_at(dir_fd: int, name: str) -> float | None:
    """Return when an entry of an open directory was made, in seconds since the epoch.

    None where the filesystem does not keep it, the entry went away, or the C library has no statx.
    """
    call = _statx()
    if call is None:
        return None
    into = ctypes.create_string_buffer(_SIZE)
    flags = _AT_SYMLINK_NOFOLLOW
    if call(dir_fd, os.fsencode(name), flags, _STATX_BTIME, into) != 0:
        return None
    (mask,) = struct.unpack_from("=I", into, _MASK_AT)
    if not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", into, _BTIME_AT)
    return int(seconds) + int(nanoseconds) / 1e9


@cache
def _statx() -> Callable[..., int] | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    call.restype = ctypes.c_int
    return call
