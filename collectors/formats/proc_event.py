"""The proc connector's messages (linux/cn_proc.h, Documentation/driver-api/connector.rst): bytes to records."""

import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from runtime.errors import FormatError

IDX: Final = 1
"""CN_IDX_PROC and CN_VAL_PROC: what the connector's messages are filed under."""
_NETLINK: Final = struct.Struct("=IHHII")
_CONNECTOR: Final = struct.Struct("=IIIIHH")
"""`struct cn_msg`: idx, val, seq, ack, len, flags."""
_EVENT: Final = struct.Struct("=IIQ")
"""`struct proc_event`: what, cpu, nanoseconds since boot; what follows depends on `what`."""
_FORK: Final = struct.Struct("=IIII")
_EXIT: Final = struct.Struct("=IIII")
_PAIR: Final = struct.Struct("=II")
_ERRORS: Final = 2
"""NLMSG_ERROR."""

Kind = Literal["acknowledged", "fork", "exec", "exit", "coredump", "other"]
_KINDS: Final[dict[int, Kind]] = {
    0x0: "acknowledged",
    0x1: "fork",
    0x2: "exec",
    0x40000000: "coredump",
    0x80000000: "exit",
}


class Told(NamedTuple):
    """One event: ids are those of the first pid namespace."""

    kind: Kind
    cpu: int
    sequence: int
    """Counts the events of this processor, whoever they are told to."""
    nanoseconds: int
    """Of the monotonic clock."""
    pid: int = 0
    """Of the process; the new one of a fork, the error's number where one asked to listen."""
    thread: int = 0
    """Differs from `pid` where it is about a thread that is not the first."""
    parent: int = 0
    status: int = 0
    """Of an exit, as wait(2) has it."""


def listen() -> bytes:
    """Return the request to be told of every event (PROC_CN_MCAST_LISTEN)."""
    body = _CONNECTOR.pack(IDX, IDX, 0, 0, 4, 0) + struct.pack("=I", 1)
    return _NETLINK.pack(_NETLINK.size + len(body), 3, 0, 0, 0) + body


def parse(data: bytes) -> Iterator[Told]:
    """Yield the events of one datagram; raise `FormatError` for a length that cannot be."""
    at = 0
    while at < len(data):
        if len(data) - at < _NETLINK.size:
            raise FormatError(f"proc connector: {len(data) - at} bytes are no header")
        length, kind, _, _, _ = _NETLINK.unpack_from(data, at)
        if not _NETLINK.size <= length <= len(data) - at:
            raise FormatError(f"proc connector: a message says that it is {length} bytes long")
        if kind != _ERRORS:
            told = _message(data[at + _NETLINK.size : at + length])
            if told is not None:
                yield told
        at += (length + 3) & ~3


def _message(body: bytes) -> Told | None:
    """Return what one message tells; None for another connector's."""
    if len(body) < _CONNECTOR.size:
        raise FormatError(f"proc connector: {len(body)} bytes are no message")
    idx, val, sequence, _, length, _ = _CONNECTOR.unpack_from(body)
    if (idx, val) != (IDX, IDX):
        return None
    event = body[_CONNECTOR.size : _CONNECTOR.size + length]
    if len(event) < _EVENT.size:
        raise FormatError(f"proc connector: {len(event)} bytes are no event")
    what, cpu, nanoseconds = _EVENT.unpack_from(event)
    told = Told(_KINDS.get(what, "other"), cpu, sequence, nanoseconds)
    return _filled(told, event[_EVENT.size :])


def _filled(told: Told, data: bytes) -> Told:
    try:
        if told.kind == "fork":
            _, parent, thread, pid = _FORK.unpack_from(data)
            return told._replace(pid=pid, thread=thread, parent=parent)
        if told.kind == "exit":
            thread, pid, status, _ = _EXIT.unpack_from(data)
            return told._replace(pid=pid, thread=thread, status=status)
        if told.kind in {"exec", "coredump"}:
            thread, pid = _PAIR.unpack_from(data)
            return told._replace(pid=pid, thread=thread)
        if told.kind == "acknowledged":
            return told._replace(pid=struct.unpack_from("=I", data)[0])
    except struct.error as error:
        raise FormatError(f"proc connector: a torn {told.kind}: {error}") from error
    return told
