"""Turns bytes into ttrpc frames and back: a 10-byte header, then the payload.

Protocol: https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md.
"""

from __future__ import annotations

import struct

from runtime.errors import ResourceExhausted

MAX_PAYLOAD = 4 << 20
"""The largest payload of a frame, in bytes; the protocol's own limit."""

REQUEST, RESPONSE, DATA = 1, 2, 3
REMOTE_CLOSED, REMOTE_OPEN, NO_DATA = 1, 2, 4

_HEADER = struct.Struct(">IIBB")


class Frame:
    """One message on the wire."""

    __slots__ = ("flags", "kind", "payload", "stream")

    def __init__(self, stream: int, kind: int, flags: int, *, payload: bytes) -> None:
        self.stream = stream
        self.kind = kind
        self.flags = flags
        self.payload = payload


class Oversized:
    """A message that was too long and is being thrown away as it comes."""

    __slots__ = ("kind", "length", "stream")

    def __init__(self, stream: int, kind: int, length: int) -> None:
        self.stream = stream
        self.kind = kind
        self.length = length


def encode(stream: int, kind: int, payload: bytes, *, flags: int = 0) -> bytes:
    """Return the bytes of one frame; a payload over the limit raises `ResourceExhausted`."""
    if len(payload) > MAX_PAYLOAD:
        raise ResourceExhausted(f"a message of {len(payload)} bytes is over {MAX_PAYLOAD}")
    return _HEADER.pack(len(payload), stream, kind, flags) + payload


class Decoder:
    """Collects bytes until they make frames; never holds more than one frame's worth of them."""

    __slots__ = ("_buffer", "_skip")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    @property
    def empty(self) -> bool:
        """Whether no part of a frame waits for its rest."""
        return not self._buffer and not self._skip

    def feed(self, data: bytes) -> list[Frame | Oversized]:
        """Take bytes; return every frame they complete, and every one found to be too long."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._buffer += data
        found: list[Frame | Oversized] = []
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            length, stream, kind, flags = _HEADER.unpack_from(self._buffer, at)
            start, end = at + _HEADER.size, at + _HEADER.size + length
            if length > MAX_PAYLOAD:
                found.append(Oversized(stream, kind, length))
                self._skip = max(0, end - len(self._buffer))
                at = min(end, len(self._buffer))
            elif end <= len(self._buffer):
                payload = bytes(self._buffer[start:end])
                found.append(Frame(stream, kind, flags, payload=payload))
                at = end
            else:
                break
        del self._buffer[:at]
        return found
