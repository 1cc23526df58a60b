"""Asks for links, addresses and peers over netlink sockets, by pyroute2."""

import contextlib
import fcntl
import os
import socket
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Protocol, cast

from msgspec import structs
from pyroute2 import AsyncIPRoute, NetlinkError  # type: ignore[import-untyped]  # it has no types

from collectors.errors import Problem
from collectors.formats.net_dev import COUNTERS
from collectors.links.records import Interface

_HARDWARE = {1: "ether", 24: "ieee1394", 32: "infiniband", 512: "ppp", 768: "ipip", 772: "loopback"}
"""ARPHRD_… of linux/if_arp.h, for links that have no kind."""
_UP = 1
_NOT_ASSIGNED = 0xFFFFFFFF
_NAMESPACE_OF_SOCKET = 0x894C
"""SIOCGSKNS of linux/sockios.h: a descriptor of the network namespace that a socket is in."""
_NONE: Mapping[str, int] = {}


class _Message(Protocol):
    """A netlink message of pyroute2: its header's fields and its attributes, by name."""

    def get(self, name: str) -> object: ...

    def get_nested(self, *names: str) -> object: ...


class _Route(Protocol):
    """What is used of pyroute2's AsyncIPRoute, which has no types of its own."""

    async def setup_endpoint(self) -> None: ...

    async def get_links(self) -> AsyncIterable[_Message]: ...

    async def get_addr(self) -> AsyncIterable[_Message]: ...

    async def get_netnsid(
        self, *, pid: int | None = None, fd: int | None = None
    ) -> Mapping[str, int | None] | None: ...

    def close(self) -> None: ...


async def links(
    sockets: Mapping[int, socket.socket], pids: Mapping[int, int]
) -> tuple[dict[int, tuple[Interface, ...]], dict[int, Problem]]:
    """Return the links of each namespace by the socket in it, and what went wrong.

    `pids` has a process of every namespace that is known: peers are recognized by them. Of one that
    has no process its socket serves.
    """
    # Taken first: a socket is pyroute2's from when it is asked.
    empty = _opened({inode: one for inode, one in sockets.items() if inode not in pids})
    try:
        return await _all(sockets, pids, empty)
    finally:
        for fd in empty.values():
            os.close(fd)


async def _all(
    sockets: Mapping[int, socket.socket], pids: Mapping[int, int], empty: Mapping[int, int]
) -> tuple[dict[int, tuple[Interface, ...]], dict[int, Problem]]:
    found: dict[int, tuple[Interface, ...]] = {}
    problems: dict[int, Problem] = {}
    for inode, opened in sockets.items():
        route = cast("_Route", AsyncIPRoute(use_socket=opened))
        await route.setup_endpoint()
        try:
            found[inode] = await _links(route, inode, pids, empty)
        except NetlinkError as error:
            path = f"/proc/{pids[inode]}/ns/net" if inode in pids else f"net:[{inode}]"
            problems[inode] = Problem(path, "netlink", "unavailable", str(error))
        finally:
            route.close()
    return found, problems


async def _links(
    route: _Route, inode: int, pids: Mapping[int, int], empty: Mapping[int, int]
) -> tuple[Interface, ...]:
    addresses: dict[int, list[str]] = {}
    async for message in await route.get_addr():
        index = _number(message.get("index"))
        # On a point-to-point link IFA_ADDRESS is the other end's.
        address = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
        if index is not None:
            addresses.setdefault(index, []).append(f"{address}/{message.get('prefixlen')}")
    found = [_interface(message, addresses, inode) async for message in await route.get_links()]
    wanted = {one.peer_namespace_id for one in found if one.peer_namespace_id is not None}
    known = await _peers(route, wanted, pids)
    if empty and not wanted <= known.keys():
        known |= await _empty_peers(route, empty)
    return tuple(
        one
        if one.peer_namespace_id is None
        else structs.replace(one, peer_namespace=known.get(one.peer_namespace_id))
        for one in found
    )


async def _peers(route: _Route, wanted: set[int], pids: Mapping[int, int]) -> dict[int, int]:
    """Return the inodes of the namespaces that one namespace knows by these numbers of its own."""
    known: dict[int, int] = {}
    for inode, pid in pids.items():
        if wanted <= known.keys():
            break
        try:
            answer = await route.get_netnsid(pid=pid)
        except NetlinkError:
            continue  # that process went away
        number = answer.get("nsid") if answer is not None else None
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


async def _empty_peers(route: _Route, empty: Mapping[int, int]) -> dict[int, int]:
    """Return the same of namespaces without a process, by descriptors of them."""
    known: dict[int, int] = {}
    for inode, fd in empty.items():
        try:
            answer = await route.get_netnsid(fd=fd)
        except NetlinkError:
            continue
        number = answer.get("nsid") if answer is not None else None
        if number is not None and number != _NOT_ASSIGNED:
            known[number] = inode
    return known


def _interface(message: _Message, addresses: Mapping[int, Sequence[str]], inode: int) -> Interface:
    index = _number(message.get("index"))
    below = _number(message.get("IFLA_LINK"))
    elsewhere = _number(message.get("IFLA_LINK_NETNSID"))
    # An index of 0, or the link's own, says that there is nothing below it: loopback, tunnels.
    peer = below if elsewhere is not None or below not in {0, index} else None
    counters = cast(
        "Mapping[str, int]", message.get("IFLA_STATS64") or message.get("IFLA_STATS") or _NONE
    )
    flags = _number(message.get("flags")) or 0
    return Interface(
        name=str(message.get("IFLA_IFNAME")),
        index=index,
        kind=_kind(message),
        up=bool(flags & _UP),
        mac=_text(message.get("IFLA_ADDRESS")),
        addresses=tuple(addresses.get(index, ())) if index is not None else (),
        peer_index=peer,
        # -1: the other end is in a namespace that this one has no number for.
        peer_namespace_id=None if elsewhere in {-1, _NOT_ASSIGNED} else elsewhere,
        counters={name: counters[name] for name in COUNTERS if name in counters},
        peer_namespace=inode if peer is not None and elsewhere is None else None,
        mtu=_number(message.get("IFLA_MTU")),
        master_index=_number(message.get("IFLA_MASTER")),
    )


def _kind(message: _Message) -> str | None:
    kind = message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    if isinstance(kind, str):
        return kind
    hardware = _number(message.get("ifi_type"))
    return None if hardware is None else _HARDWARE.get(hardware, f"hardware {hardware}")


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
