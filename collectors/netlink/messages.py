"""Packs netlink requests and takes answers apart (netlink(7)): bytes in, messages out."""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from runtime.errors import FormatError

_HEADER: Final = struct.Struct("=IHHII")
"""`struct nlmsghdr`: length, type, flags, sequence, port."""
_ATTRIBUTE: Final = struct.Struct("=HH")
"""`struct nlattr`: length and type."""
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_NESTED_OR_ORDER: Final = 0xC000
"""NLA_F_NESTED and NLA_F_NET_BYTEORDER in an attribute's type."""
_BUFFER: Final = 1 << 17


class Message(NamedTuple):
    """One message of an answer, without its header."""

    type: int
    body: bytes


def dump(opened: socket.socket, kind: int, body: bytes) -> Iterator[Message]:
    """Ask for a dump and yield its messages; raise OSError as the kernel answers.

    Raises `FormatError` for an answer that is torn, BlockingIOError when there is none in the time that
    the socket has for it (SO_RCVTIMEO).
    A caller that has enough closes the iterator, and the socket after it: what was not read stays there.
    """
    opened.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, 1, 0) + body)
    while True:
        for message in split(opened.recv(_BUFFER)):
            if message.type == _DONE:
                return
            if message.type == _ERROR:
                _raise(message.body)
            yield message


def ask(opened: socket.socket, kind: int, body: bytes) -> Message:
    """Ask for one thing and return the answer; raise as `dump` does."""
    opened.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, 1, 0) + body)
    for message in split(opened.recv(_BUFFER)):
        if message.type == _ERROR:
            _raise(message.body)
        return message
    raise FormatError("netlink: an answer is empty")


def split(data: bytes) -> Iterator[Message]:
    """Yield the messages of one datagram; raise `FormatError` for a length that cannot be."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise FormatError(f"netlink: {len(data) - at} bytes at the end are no header")
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= length <= len(data) - at:
            raise FormatError(f"netlink: a message says that it is {length} bytes long")
        yield Message(kind, data[at + _HEADER.size : at + length])
        at += (length + 3) & ~3  # the next one is aligned, as attributes are


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute of a request."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Mapping[int, bytes]:
    """Return attributes by type, the last of each; raise `FormatError` for a length that cannot be."""
    return dict(each(data))


def each(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield attributes in their order, as lists have them."""
    at = 0
    while len(data) - at >= 4:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if not 4 <= length <= len(data) - at:
            raise FormatError(f"netlink: an attribute says that it is {length} bytes long")
        yield kind & ~_NESTED_OR_ORDER, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _raise(body: bytes) -> None:
    if len(body) < 4:
        raise FormatError("netlink: an error has no number")
    (number,) = struct.unpack_from("=i", body)
    raise OSError(-number, os.strerror(-number))
