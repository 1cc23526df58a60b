"""Asks for links, addresses and peers over netlink sockets (rtnetlink(7))."""

import contextlib
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec import structs

from collectors.errors import Problem
from collectors.formats.net_dev import COUNTERS
from collectors.links.records import Interface
from collectors.netlink import messages
from runtime.errors import FormatError
from runtime.formats import text

_NEW_LINK, _GET_LINK, _NEW_ADDRESS, _GET_ADDRESS, _GET_NAMESPACE_ID = 16, 18, 20, 22, 90
"""RTM_… of linux/rtnetlink.h."""
_LINK: Final = struct.Struct("=BxHiII")
"""`struct ifinfomsg`: family, hardware, index, flags, what changes."""
_LINK_REQUEST: Final = bytes(_LINK.size) + struct.pack("=HHI", 8, 29, 1 << 3)
"""All links, with IFLA_EXT_MASK: RTEXT_FILTER_SKIP_STATS leaves out what each protocol counts of them."""
_ADDRESS: Final = struct.Struct("=BBBBI")
"""`struct ifaddrmsg`: family, length of the prefix, flags, scope, index of the link."""
_MAC, _NAME, _MTU, _BELOW, _STATS, _MASTER, _INFO, _STATS64, _BELOW_NAMESPACE = (
    1, 3, 4, 5, 7, 10, 18, 23, 37,
)  # fmt: skip
"""IFLA_… of linux/if_link.h."""
_INFO_KIND = 1
_ADDRESS_PEER, _ADDRESS_LOCAL = 1, 2
"""IFA_ADDRESS and IFA_LOCAL of linux/if_addr.h."""
_ID, _OF_PID, _OF_FD = 1, 2, 3
"""NETNSA_… of linux/net_namespace.h."""
_COUNTED: Final = (
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
)
"""How `struct rtnl_link_stats64` begins."""
_MISSED: Final = 15
"""Where rx_missed_errors are in it."""
_HARDWARE = {1: "ether", 24: "ieee1394", 32: "infiniband", 512: "ppp", 768: "ipip", 772: "loopback"}
"""ARPHRD_… of linux/if_arp.h, for links that have no kind."""
_UP = 1
_NOT_ASSIGNED = -1
_NAMESPACE_OF_SOCKET = 0x894C
"""SIOCGSKNS of linux/sockios.h: a descriptor of the network namespace that a socket is in."""


def links(
    sockets: Mapping[int, socket.socket], pids: Mapping[int, int]
) -> tuple[dict[int, tuple[Interface, ...]], dict[int, Problem]]:
    """Return the links of each namespace by the socket in it, and what went wrong.

    `pids` has a process of every namespace that is known: peers are recognized by them. Of one that
    has no process its socket serves.
    """
    found: dict[int, tuple[Interface, ...]] = {}
    problems: dict[int, Problem] = {}
    empty = _opened({inode: one for inode, one in sockets.items() if inode not in pids})
    try:
        for inode, opened in sockets.items():
            try:
                found[inode] = _links(opened, inode, pids, empty)
            except (OSError, FormatError) as error:
                path = f"/proc/{pids[inode]}/ns/net" if inode in pids else f"net:[{inode}]"
                problems[inode] = Problem(path, "netlink", "unavailable", str(error))
    finally:
        for fd in empty.values():
            os.close(fd)
    return found, problems


def _links(
    opened: socket.socket, inode: int, pids: Mapping[int, int], empty: Mapping[int, int]
) -> tuple[Interface, ...]:
    addresses: dict[int, list[str]] = {}
    for message in messages.dump(opened, _GET_ADDRESS, bytes(_ADDRESS.size)):
        if message.type == _NEW_ADDRESS:
            index, address = parse_address(message.body)
            if address is not None:
                addresses.setdefault(index, []).append(address)
    found = [
        parse_link(message.body, addresses, inode)
        for message in messages.dump(opened, _GET_LINK, _LINK_REQUEST)
        if message.type == _NEW_LINK
    ]
    wanted = {one.peer_namespace_id for one in found if one.peer_namespace_id is not None}
    known = _known(opened, wanted, _OF_PID, pids)
    if empty and not wanted <= known.keys():
        known |= _known(opened, wanted - known.keys(), _OF_FD, empty)
    return tuple(
        one
        if one.peer_namespace_id is None
        else structs.replace(one, peer_namespace=known.get(one.peer_namespace_id))
        for one in found
    )


def _known(
    opened: socket.socket, wanted: set[int], named: int, names: Mapping[int, int]
) -> dict[int, int]:
    """Return the inodes of the namespaces that one namespace knows by these numbers of its own.

    `names` has a process of each, or a descriptor, as `named` says.
    """
    known: dict[int, int] = {}
    for inode, name in names.items():
        if wanted <= known.keys():
            break
        try:
            body = struct.pack("=4xHHI", 8, named, name)
            answer = messages.ask(opened, _GET_NAMESPACE_ID, body).body
        except BlockingIOError:
            raise  # no answer in time
        except OSError:
            continue  # that process went away
        number = _signed(messages.attributes(answer[4:]).get(_ID))
        if number is not None and number != _NOT_ASSIGNED:
            known[number] = inode
    return known


def _opened(sockets: Mapping[int, socket.socket]) -> dict[int, int]:
    """Return a descriptor of the namespace that each socket is in; the caller closes them."""
    found: dict[int, int] = {}
    for inode, one in sockets.items():
        with contextlib.suppress(OSError):  # without the right to it
            found[inode] = fcntl.ioctl(one.fileno(), _NAMESPACE_OF_SOCKET)
    return found


def parse_address(body: bytes) -> tuple[int, str | None]:
    """Return a link's index and an address of it with its prefix; None of another family than IP.

    Raise `FormatError` when it is too short.
    """
    if len(body) < _ADDRESS.size:
        raise FormatError(f"rtnetlink: an address of {len(body)} bytes")
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    said = messages.attributes(body[_ADDRESS.size :])
    # On a point-to-point link IFA_ADDRESS is the other end's.
    data = said.get(_ADDRESS_LOCAL) or said.get(_ADDRESS_PEER)
    if data is None or family not in {socket.AF_INET, socket.AF_INET6}:
        return index, None
    try:
        return index, f"{socket.inet_ntop(family, data)}/{prefix}"
    except ValueError:
        raise FormatError(f"rtnetlink: an IP address of {len(data)} bytes") from None


def parse_link(body: bytes, addresses: Mapping[int, Sequence[str]], inode: int) -> Interface:
    """Return one link of an answer; raise `FormatError` when it is too short."""
    if len(body) < _LINK.size:
        raise FormatError(f"rtnetlink: a link of {len(body)} bytes")
    link = _link(body)
    own = addresses.get(link.index or 0, ())
    if not own and link.peer_namespace is None:
        return link
    here = None if link.peer_namespace is None else inode
    return structs.replace(link, addresses=tuple(own), peer_namespace=here)


@lru_cache(maxsize=512)
def _link(body: bytes) -> Interface:
    """Return a link without addresses: those of many namespaces are alike, and of one that rests.

    The namespace of a peer that is in its own is 0.
    """
    _, hardware, index, flags, _ = _LINK.unpack_from(body)
    said = messages.attributes(body[_LINK.size :])
    below, elsewhere = _signed(said.get(_BELOW)), _signed(said.get(_BELOW_NAMESPACE))
    # An index of 0, or the link's own, says that there is nothing below it: loopback, tunnels.
    peer = below if elsewhere is not None or below not in {0, index} else None
    mac = said.get(_MAC)
    return Interface(
        name=_text(said.get(_NAME, b"")),
        index=index,
        kind=_kind(said.get(_INFO), hardware),
        up=bool(flags & _UP),
        mac=mac.hex(":") if mac else None,
        addresses=(),
        peer_index=peer,
        # -1: the other end is in a namespace that this one has no number for.
        peer_namespace_id=None if elsewhere == _NOT_ASSIGNED else elsewhere,
        counters=_counters(said),
        peer_namespace=0 if peer is not None and elsewhere is None else None,
        mtu=_signed(said.get(_MTU)),
        master_index=_signed(said.get(_MASTER)),
    )


def _kind(info: bytes | None, hardware: int) -> str:
    kind = messages.attributes(info).get(_INFO_KIND) if info is not None else None
    return _text(kind) if kind else _HARDWARE.get(hardware, f"hardware {hardware}")


def _counters(said: Mapping[int, bytes]) -> Mapping[str, int]:
    """Return the counters as /proc/PID/net/dev has them: of what was dropped also what was missed."""
    data, size, form = said.get(_STATS64), 8, "=8Q"
    if data is None:
        data, size, form = said.get(_STATS, b""), 4, "=8I"
    if len(data) < 8 * size:
        return {}
    counted: dict[str, int] = dict(zip(_COUNTED, struct.unpack_from(form, data), strict=True))
    missed = data[_MISSED * size : (_MISSED + 1) * size]
    counted["rx_dropped"] += int.from_bytes(missed, sys.byteorder)
    return {name: counted[name] for name in COUNTERS}


def _signed(data: bytes | None) -> int | None:
    return int.from_bytes(data[:4], sys.byteorder, signed=True) if data else None


def _text(data: bytes) -> str:
    return text.decode(data.partition(b"\0")[0])
