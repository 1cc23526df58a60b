"""A stand-in for `ctypes`, of the interpreter's own part: the few names that the system calls need.

What `ctypes` itself is made of takes as long to load as a dozen modules of this package. As with the
others (`brief`), whoever asks for another name gets the real one.
"""

from __future__ import annotations

import _ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Value: TypeAlias = Any

_CDECL, _PYTHONAPI, _USE_ERRNO = 1, 4, 8  # FUNCFLAG_*, of _ctypes.h
_parts: Value = _ctypes
_Simple = _parts._SimpleCData  # noqa: SLF001 - what ctypes' own types are made of


def _type(name: str, code: str) -> Value:
    """Return the type of a C value; the codes are those of `struct`, with z for a char *."""
    return type(_Simple)(name, (_Simple,), {"_type_": code})


c_char = _type("c_char", "c")
c_char_p = _type("c_char_p", "z")
c_int = _type("c_int", "i")
c_long = _type("c_long", "l")
c_size_t = c_ulong = _type("c_ulong", "L")
c_uint = c_uint32 = _type("c_uint", "I")
c_void_p = _type("c_void_p", "P")


class _Function(_ctypes.CFuncPtr):
    """Called with the interpreter's lock held."""

    _flags_ = _CDECL | _PYTHONAPI
    _restype_ = c_int


class _WithErrno(_ctypes.CFuncPtr):
    """As that, and errno is kept."""

    _flags_ = _CDECL | _PYTHONAPI | _USE_ERRNO
    _restype_ = c_int


class PyDLL:
    """The functions of a library that is loaded; without a name, of all that are."""

    def __init__(self, name: str | None, use_errno: bool = False) -> None:  # noqa: FBT001, FBT002 - as ctypes has it
        kind = _WithErrno if use_errno else _Function
        self._kind: Value = kind
        self._handle = _parts.dlopen(name, 0)

    def __getattr__(self, name: str) -> Value:
        if name.startswith("__"):
            raise AttributeError(name)
        function = self._kind((name, self))
        setattr(self, name, function)
        return function


def create_string_buffer(init: bytes | int, size: int | None = None) -> Value:
    """Return an array of characters that begins with some bytes, or of a number of zeros."""
    kind: Value = c_char
    if isinstance(init, int):
        return (kind * init)()
    buffer = (kind * (len(init) + 1 if size is None else size))()
    buffer.value = init
    return buffer


def names() -> dict[str, Value]:
    """Return what stands in for `ctypes`, by name."""
    return {
        "PyDLL": PyDLL,
        "create_string_buffer": create_string_buffer,
        "c_char": c_char,
        "c_char_p": c_char_p,
        "c_int": c_int,
        "c_long": c_long,
        "c_size_t": c_size_t,
        "c_uint": c_uint,
        "c_uint32": c_uint32,
        "c_ulong": c_ulong,
        "c_void_p": c_void_p,
        "addressof": _parts.addressof,
        "byref": _parts.byref,
        "get_errno": _parts.get_errno,
    }
