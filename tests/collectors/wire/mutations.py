"""Makes hostile answers of real ones: a few places of each hold what should not be there."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

TEXTS: Final = (
    "",
    "x",
    "a" * 64,
    "../../../etc/shadow",
    "/containers/json?all=1#",
    "\x1b]0;title\x07\x1b[2J",
    "a\x00b\r\n\u2028\u202e",
    "\ud800",
    "9999-99-99T99:99:99Z",
    "0000-00-00T00:00:00+99:99",
    "{id}",
    "é" * 5000,
)
NUMBERS: Final = (0, 1, -1, 2**31, -(2**31), 2**63 - 1, 2**63, 2**64, 10**30, 1.5, -1e308)
VALUES: Final[tuple[object, ...]] = (
    *TEXTS,
    *NUMBERS,
    None,
    True,
    [],
    {},
    [None, [1], {"a": "b"}],
    {"a": None, "\x1b[31m": {"b": []}},
)


def of_json(answer: object) -> st.SearchStrategy[Any]:
    """Return answers that differ from a real one in up to three places."""

    @st.composite
    def changed(draw: st.DrawFn) -> Any:
        whole = {"": copy.deepcopy(answer)}
        for _ in range(draw(st.integers(1, 3))):
            parent, key = draw(st.sampled_from(list(_places(whole))))
            match draw(st.sampled_from(("value", "value", "drop", "twice"))):
                case "drop" if parent is not whole:
                    del parent[key]
                case "twice" if isinstance(parent, list):
                    parent.append(copy.deepcopy(parent[key]))
                case _:
                    parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        return whole[""]

    return changed()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def of_message(body: bytes) -> st.SearchStrategy[bytes]:
    """Return messages that differ from a real one in up to three fields, at any depth."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        result = body
        for _ in range(draw(st.integers(1, 3))):
            result = _mutated(draw, result, draw(st.integers(0, 3)))
        return result

    return changed()


def _mutated(draw: st.DrawFn, body: bytes, depth: int) -> bytes:
    fields = _fields(body)
    if not fields:
        return draw(st.binary(max_size=20))
    at = draw(st.integers(0, len(fields) - 1))
    number, kind, value = fields[at]
    if depth and kind == 2 and isinstance(value, bytes) and _fields(value):
        fields[at] = (number, kind, _mutated(draw, value, depth - 1))
        return _joined(fields)
    text = draw(st.sampled_from(TEXTS)).encode("utf-8", "surrogatepass")
    match draw(st.sampled_from(("text", "number", "drop", "twice", "junk", "other"))):
        case "text":
            fields[at] = (number, 2, text)
        case "number":
            fields[at] = (number, 0, draw(st.sampled_from((0, 1, 2**31, 2**63, 2**64 - 1))))
        case "drop":
            del fields[at]
        case "twice":
            fields.insert(at, fields[at])
        case "junk":
            fields[at] = (number, 2, draw(st.binary(max_size=20)))
        case _:
            fields[at] = (draw(st.integers(1, 1000)), kind, value)
    return _joined(fields)


def _fields(body: bytes) -> list[tuple[int, int, int | bytes]]:
    """Return a message's fields by number and wire type; none for bytes that are no message."""
    found: list[tuple[int, int, int | bytes]] = []
    at = 0
    try:
        while at < len(body):
            tag, at = _number(body, at)
            value: int | bytes
            value, at = _number(body, at)
            if tag & 7 == 2:
                length, value = value, body[at : at + value]
                at += length
            if tag & 7 not in {0, 2} or at > len(body) or not tag >> 3:
                return []
            found.append((tag >> 3, tag & 7, value))
    except IndexError:
        return []
    return found


def _number(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not body[at - 1] & 0x80:
            return value, at


def _joined(fields: Sequence[tuple[int, int, int | bytes]]) -> bytes:
    written = b""
    for number, kind, value in fields:
        written += _varint(number << 3 | kind)
        written += _varint(len(value)) + value if isinstance(value, bytes) else _varint(value)
    return written


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))
