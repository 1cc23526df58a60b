"""Just enough of rtnetlink(7) to move a network device to another network namespace."""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from runtime.linux import constants

_ERROR: Final = 2
_DONE: Final = 3
_NEWLINK: Final = 16
_NEWADDR: Final = 20
_GETADDR: Final = 22
_REQUEST: Final = 0x1
_ACK: Final = 0x4
_DUMP: Final = 0x300
_CREATE_NEW: Final = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_IFLA_IFNAME: Final = 3
_IFLA_NET_NS_FD: Final = 28
_IFA_CACHEINFO: Final = 6
_IFA_LABEL: Final = 3
_IFA_FLAGS: Final = 8
_PERMANENT: Final = 0x80
_HEADER: Final = struct.Struct("=IHHII")  # length type flags sequence pid


class Address(NamedTuple):
    """An address of a device, as `struct ifaddrmsg` and its attributes have it."""

    family: int
    prefix: int
    flags: int
    scope: int
    attributes: Mapping[int, bytes]


def addresses(index: int) -> list[Address]:
    """Return the permanent addresses of global scope that a device of this namespace has."""
    found: list[Address] = []
    for body in _ask(_GETADDR, _DUMP, struct.pack("=4BI", 0, 0, 0, 0, 0)):
        family, prefix, flags, scope, owner = struct.unpack_from("=4BI", body)
        attributes = dict(_attributes(body[8:]))
        flags |= int.from_bytes(attributes.get(_IFA_FLAGS, b"")[:4], "little")
        if owner == index and scope == 0 and flags & _PERMANENT:
            # A label begins with the device's name, which may change, and lifetimes are endless.
            kept = {
                key: value
                for key, value in attributes.items()
                if key not in {_IFA_LABEL, _IFA_CACHEINFO}
            }
            found.append(Address(family, prefix, flags, scope, kept))
    return found


def add_address(index: int, address: Address) -> None:
    """Give a device of this namespace an address."""
    head = (address.family, address.prefix, address.flags & 0xFF, address.scope, index)
    body = struct.pack("=4BI", *head)
    for key, value in address.attributes.items():
        body += _attribute(key, value)
    _ask(_NEWADDR, _CREATE_NEW, body)


def move(index: int, *, namespace: int, name: str) -> None:
    """Put a device into the network namespace of a descriptor, under a name."""
    attributes = _attribute(_IFLA_IFNAME, os.fsencode(name) + b"\0")
    attributes += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace))
    _ask(_NEWLINK, 0, _link(index) + attributes)


def bring_up(index: int) -> None:
    """Set IFF_UP."""
    _ask(_NEWLINK, 0, _link(index, flags=constants.IFF_UP))


def _link(index: int, *, flags: int = 0) -> bytes:
    # struct ifinfomsg: family, padding, type, index, flags, change
    return struct.pack("=BxHiII", 0, 0, index, flags, flags)


def _attribute(key: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), key) + value
    return data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, key = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield key & 0x3FFF, data[4:length]
        data = data[length + (-length % 4) :]


def _ask(kind: int, flags: int, body: bytes) -> list[bytes]:
    """Send one request; return the bodies of what comes back, or raise the kernel's error."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as kernel:
        flags |= _REQUEST | (0 if flags & _DUMP == _DUMP else _ACK)
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        found: list[bytes] = []
        going = True
        while going:
            going = _take(kernel.recv(1 << 16), found)
    return found


def _take(data: bytes, found: list[bytes]) -> bool:
    """Add what messages tell; return whether there is more to come."""
    for kind, content in messages(data):
        if kind not in {_ERROR, _DONE}:
            found.append(content)
            continue
        errno = int.from_bytes(content[:4], "little", signed=True)
        if kind == _ERROR and errno:
            raise OSError(-errno, os.strerror(-errno), "rtnetlink")
        return False
    return True


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each message in what one receive gave; damage ends it (netlink(7))."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[length + (-length % 4) :]
