"""Asks a network namespace for its sockets: sock_diag(7), over a socket that is in it."""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from collectors.netlink import messages
from collectors.netlink.records import STATES, Counts, Protocol, Socket
from runtime.errors import FormatError

_BY_FAMILY: Final = 20
"""SOCK_DIAG_BY_FAMILY."""
_TCP: Final = 18
"""TCPDIAG_GETSOCK."""
_LISTEN: Final = 1 << STATES.index("listen")
_EVERY: Final = 0xFFFFFFFF
_CONNECTED: Final = _EVERY & ~_LISTEN & ~(1 << STATES.index("bound-inactive"))
"""What only has a port is no connection, and to look for it the kernel walks another table."""
_REQUEST: Final = struct.Struct("=BBBBI48s")
"""`struct inet_diag_req_v2`: family, protocol, extensions, padding, states, one socket."""
_TCP_REQUEST: Final = struct.Struct("=BBBB48sII")
"""`struct inet_diag_req`: family, two lengths, extensions, one socket, states, dumped so far."""
_HEAD: Final = struct.Struct("=BBBB2s2s16s16s")
"""`struct inet_diag_msg`: family, state, timer, retransmissions, then `struct inet_diag_sockid`."""
_TAIL: Final = struct.Struct("=IIIII")
"""Expires, two queues, user, inode: behind the id's interface and cookie."""
_UNIX_REQUEST: Final = struct.Struct("=BBHIIIII")
"""`struct unix_diag_req`: family, protocol, padding, states, inode, what to show, cookie."""
_UNIX_HEAD: Final = 16
"""`struct unix_diag_msg`: family, type, state, padding, inode, cookie."""
_SHOW_FILE, _FILE = 2, 1
"""UDIAG_SHOW_VFS, UNIX_DIAG_VFS: inode and device of what a socket is bound to."""
_TAIL_AT: Final = _HEAD.size + 12


def listeners(opened: socket.socket, counts: Counts | None = None) -> Iterator[Socket]:
    """Yield what listens, and every udp socket: they are in small tables, whatever else is open.

    With what is known to be open, only those tables are asked for that have any.
    """
    if counts is None or counts.tcp:
        yield from _tcp(opened, _LISTEN)
    if counts is None or counts.udp:
        yield from _udp(opened, socket.AF_INET)
    if counts is None or counts.udp6:
        yield from _udp(opened, socket.AF_INET6)


def connections(opened: socket.socket) -> Iterator[Socket]:
    """Yield every tcp socket that does not listen: the kernel walks a table of the whole host's."""
    yield from _tcp(opened, _CONNECTED)


class Bound(NamedTuple):
    """A unix socket that listens at a path."""

    inode: int
    """Of the socket."""
    file_inode: int
    """Of the file at the path, its lower 32 bits."""
    device: int
    """Of the file system, as the kernel numbers it: major << 20 | minor."""


def unix_listeners(opened: socket.socket) -> Iterator[Bound]:
    """Yield the unix sockets that listen at a path, whichever way each process names it (unix(7))."""
    request = _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, _LISTEN, 0, _SHOW_FILE, 0, 0)
    for message in messages.dump(opened, _BY_FAMILY, request):
        if len(message.body) < _UNIX_HEAD:
            raise FormatError(f"sock_diag: a message of {len(message.body)} bytes")
        file = messages.attributes(message.body[_UNIX_HEAD:]).get(_FILE, b"")
        if len(file) == 8:
            (inode,) = struct.unpack_from("=I", message.body, 4)
            yield Bound(inode, *struct.unpack("=II", file))


def _tcp(opened: socket.socket, states: int) -> Iterator[Socket]:
    """Ask the older way, which alone tells of both families in one walk (`inet_diag_rcv_msg_compat`)."""
    request = _TCP_REQUEST.pack(socket.AF_UNSPEC, 0, 0, 0, b"", states, 0)
    for message in messages.dump(opened, _TCP, request):
        yield parse("tcp", message.body)


def _udp(opened: socket.socket, family: int) -> Iterator[Socket]:
    request = _REQUEST.pack(family, socket.IPPROTO_UDP, 0, 0, _EVERY, b"")
    for message in messages.dump(opened, _BY_FAMILY, request):
        yield parse("udp", message.body)


def parse(protocol: Protocol, body: bytes) -> Socket:
    """Return one socket of an answer; raise `FormatError` when it is too short or of no known family."""
    if len(body) < _TAIL_AT + _TAIL.size:
        raise FormatError(f"sock_diag: a message of {len(body)} bytes")
    family, state, _, _, sport, dport, source, destination = _HEAD.unpack_from(body)
    _, _, _, uid, inode = _TAIL.unpack_from(body, _TAIL_AT)
    return Socket(
        protocol=protocol,
        state=STATES[int(state)] if state < len(STATES) else f"state {state}",
        address=_address(family, source),
        port=int.from_bytes(sport, "big"),
        remote_address=_address(family, destination),
        remote_port=int.from_bytes(dport, "big"),
        uid=uid,
        inode=inode,
    )


def _address(family: int, data: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, data[:4])
    if family != socket.AF_INET6:
        raise FormatError(f"sock_diag: address family {family}")
    return plain(ipaddress.IPv6Address(data))


def plain(address: ipaddress.IPv6Address) -> str:
    """Return an address as text; an IPv4 one that a v6 socket has mapped, as the IPv4 one."""
    mapped = address.ipv4_mapped
    return str(address) if mapped is None else str(mapped)
