"""A table-driven Protocol Buffers codec, small enough for a shim that must start fast.

Wire format: https://protobuf.dev/programming-guides/encoding/. A message is a class whose `FIELDS`
name its numbers and kinds; annotations beside them give the types that callers see. The tables
never nest recursively, so hostile input cannot make the decoder recurse deeper than they do.
"""

from __future__ import annotations

import struct

from runtime.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TypeAlias

    Kind: TypeAlias = "str | type[Message] | Repeated | StringMap"
    Fields: TypeAlias = "tuple[tuple[int, str, Kind], ...]"
    Value: TypeAlias = Any  # a field's: its type is the table's word, not the checker's

STRING = "string"
BYTES = "bytes"
BOOL = "bool"
UINT32 = "uint32"
UINT64 = "uint64"
INT32 = "int32"
INT64 = "int64"
DOUBLE = "double"

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_MASK64 = (1 << 64) - 1


class Repeated:
    """A field that holds a sequence of `kind`."""

    __slots__ = ("kind",)

    def __init__(self, kind: str | type[Message]) -> None:
        self.kind = kind


class StringMap:
    """A `map<string, string>` field."""

    __slots__ = ()


class Message:
    """Base of every message: keyword construction, `encode` and `decode` by the class's table."""

    FIELDS: Fields = ()

    def __init__(self, **values: Value) -> None:
        for name, value in values.items():
            if not hasattr(self, name):
                raise AttributeError(f"{type(self).__name__} has no field {name!r}")
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and type(other) is type(self)
            and other.encode() == self.encode()
        )

    __hash__ = None  # type: ignore[assignment]  # mutable: equal by value, never a key

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for _, name, _ in self.FIELDS)
        return f"{type(self).__name__}({', '.join(shown)})"

    def encode(self) -> bytes:
        """Return the message's bytes; fields that have their default are left out, as proto3 does."""
        out = bytearray()
        for number, name, kind in self.FIELDS:
            _put(out, number, kind, getattr(self, name))
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a message; unknown fields are skipped, damage raises `FormatError`."""
        message = cls()
        _fill(message, data)
        return message


def varint(value: int) -> bytes:
    """Return a base-128 varint; a negative number takes ten bytes, as two's complement."""
    value &= _MASK64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + 10, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, index + 1
        shift += 7
    raise FormatError("a varint does not end")


def _put(out: bytearray, number: int, kind: Kind, value: Value) -> None:
    if isinstance(kind, Repeated):
        for item in value:
            _put_one(out, number, kind.kind, item)
    elif isinstance(kind, StringMap):
        for key, text in sorted(value.items()):
            _put_one(out, number, _Entry, _Entry(key=key, value=text))
    elif value is not None and (isinstance(value, Message) or value):
        _put_one(out, number, kind, value)


def _put_one(out: bytearray, number: int, kind: str | type[Message], value: Value) -> None:
    if isinstance(kind, str):
        wire, encode = _ENCODERS[kind]
        body = encode(value)
    else:
        wire, body = _DELIMITED, value.encode()
    out += varint(number << 3 | wire)
    if wire == _DELIMITED:
        out += varint(len(body))
    out += body


def _fill(message: Message, data: bytes) -> None:
    table = {number: (name, kind) for number, name, kind in message.FIELDS}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise FormatError(f"{type(message).__name__}: field number {number} does not exist")
        raw, at = _read_raw(data, at, wire)
        if number in table:
            name, kind = table[number]
            _store(message, name, kind, wire, raw)


def _read_raw(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        return _read_varint(data, at)
    if wire == _DELIMITED:
        length, at = _read_varint(data, at)
    elif wire == _FIXED64:
        length = 8
    elif wire == _FIXED32:
        length = 4
    else:
        raise FormatError(f"wire type {wire} is not supported")
    if length > len(data) - at:
        raise FormatError(f"a field of {length} bytes with {len(data) - at} left")
    return data[at : at + length], at + length


def _store(
    message: Message,
    name: str,
    kind: Kind,
    wire: int,
    raw: int | bytes,
) -> None:
    """Set a field from its raw value; a wire type that does not fit is an unknown field's."""
    if isinstance(kind, StringMap):
        if wire == _DELIMITED and isinstance(raw, bytes):
            entry = _Entry.decode(raw)
            setattr(message, name, {**getattr(message, name), entry.key: entry.value})
    elif isinstance(kind, Repeated):
        items = _many(kind.kind, wire, raw)
        setattr(message, name, [*getattr(message, name), *items])
    elif isinstance(kind, str):
        if wire == _ENCODERS[kind][0]:
            setattr(message, name, _DECODERS[kind](raw))
    elif wire == _DELIMITED and isinstance(raw, bytes):
        # a message that comes twice is merged (proto3, "Last One Wins" is for scalars only)
        part = getattr(message, name) or kind()
        _fill(part, raw)
        setattr(message, name, part)


def _many(kind: str | type[Message], wire: int, raw: int | bytes) -> list[Value]:
    if not isinstance(kind, str):
        return [kind.decode(raw)] if isinstance(raw, bytes) and wire == _DELIMITED else []
    expected = _ENCODERS[kind][0]
    if wire == expected:
        return [_DECODERS[kind](raw)]
    if wire == _DELIMITED and isinstance(raw, bytes):  # packed scalars
        items: list[Value] = []
        at = 0
        while at < len(raw):
            value, at = _read_raw(raw, at, expected)
            items.append(_DECODERS[kind](value))
        return items
    return []


def _text(raw: Value) -> str:
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"a string is not UTF-8: {error}") from None


def _signed32(raw: int) -> int:
    raw &= 0xFFFFFFFF
    return raw - (1 << 32) if raw >> 31 else raw


def _signed64(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw


def _raw_bytes(raw: Value) -> bytes:
    return bytes(raw)


def _double(raw: Value) -> float:
    return float(struct.unpack("<d", raw)[0])


def _pack_double(value: float) -> bytes:
    return struct.pack("<d", value)


_ENCODERS: dict[str, tuple[int, Callable[[Value], bytes]]] = {
    STRING: (_DELIMITED, str.encode),
    BYTES: (_DELIMITED, bytes),
    BOOL: (_VARINT, varint),
    UINT32: (_VARINT, varint),
    UINT64: (_VARINT, varint),
    INT32: (_VARINT, varint),
    INT64: (_VARINT, varint),
    DOUBLE: (_FIXED64, _pack_double),
}
_DECODERS: dict[str, Callable[[Value], Value]] = {
    STRING: _text,
    BYTES: _raw_bytes,
    BOOL: bool,
    UINT32: lambda raw: raw & 0xFFFFFFFF,
    UINT64: int,
    INT32: _signed32,
    INT64: _signed64,
    DOUBLE: _double,
}


class _Entry(Message):
    FIELDS: Fields = ((1, "key", STRING), (2, "value", STRING))
    key: str = ""
    value: str = ""
