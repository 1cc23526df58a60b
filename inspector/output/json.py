"""Frames as JSON: one line, or indented; always valid UTF-8, whatever a container named its files."""

from typing import Final, cast

import msgspec

from inspector.frame import Frame
from inspector.output import text

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Frame)


def encode(value: object, *, pretty: bool = False) -> bytes:
    """Return JSON with a newline at its end; `pretty` puts each key on a line of its own."""
    try:
        data = _ENCODER.encode(value)
    except UnicodeEncodeError:
        # A name that is not UTF-8 came as surrogate escapes (PEP 383), which JSON cannot have.
        data = _ENCODER.encode(_valid(msgspec.to_builtins(value)))
    if pretty:
        data = msgspec.json.format(data, indent=2)
    return data + b"\n"


def decode(data: bytes) -> Frame:
    """Read a frame back; raise `msgspec.ValidationError` for JSON that is none."""
    return _DECODER.decode(data)


def _valid(value: object) -> object:
    if isinstance(value, str):
        return text.valid(value)
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        return {_valid(key): _valid(item) for key, item in pairs.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in cast("list[object] | tuple[object, ...]", value)]
    return value
