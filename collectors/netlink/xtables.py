"""Takes apart what iptables' matches and targets say of ports (linux/netfilter/xt_*.h, nf_nat.h).

The kernel keeps them as C structs, the same ones in legacy tables and within rules of nftables.
"""

import socket
import struct
from typing import Final, NamedTuple

from collectors.netlink.records import Forward

PROTOCOLS: Final = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp"}
"""By number, as iptables names them."""
_ALL: Final = (0, 65535)
_HAS_ADDRESS, _SHIFTED = 1, 1 << 5
"""NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_OFFSET."""


class Ports(NamedTuple):
    """A range of destination ports; both are the same for one alone."""

    first: int
    last: int


class Target(NamedTuple):
    """Where a packet is sent to."""

    address: str
    first: int | None
    """The port, or the first of a range; None: the port that it was for."""
    last: int | None
    base: int | None = None
    """The port that goes to `first`, those after it to the ones after; None: any to any of them."""

    def forward(self, ports: Ports, *, protocol: str, address: str | None, rule: str) -> Forward:
        """Return what passes these ports on."""
        to = self._of(ports)
        return Forward(
            protocol=protocol,
            address=address,
            port=ports.first,
            last_port=None if ports.first == ports.last else ports.last,
            to_address=self.address,
            to_port=to.first,
            to_last_port=None if to.first == to.last else to.last,
            rule=rule,
        )

    def _of(self, ports: Ports) -> Ports:
        if self.first is None:
            return ports
        if self.base is not None:
            away = self.first - self.base
            return Ports(ports.first + away, ports.last + away)
        return Ports(self.first, max(self.first, self.last or self.first))


def destination_ports(name: str, info: bytes) -> tuple[Ports, ...]:
    """Return the ports that a match lets through; none for another match, an inverted or a torn one."""
    if name in {"tcp", "udp"}:
        # Two source ports, two destination ports, of tcp three bytes on flags, what is inverted.
        at = 11 if name == "tcp" else 8
        if len(info) <= at or info[at] & 2:
            return ()
        return _some(struct.unpack_from("=HH", info, 4))
    if name == "sctp":
        # Destination ports first; behind 256 bytes on chunks what is asked for, and what is inverted.
        if len(info) < 292:
            return ()
        flags, inverted = struct.unpack_from("=II", info, 284)
        return _some(struct.unpack_from("=HH", info)) if flags & 2 and not inverted & 2 else ()
    return _multiport(info) if name == "multiport" else ()


def destination(name: str, revision: int, info: bytes) -> Target | None:
    """Return where a target sends packets to; None for another target, or a torn one."""
    if name != "DNAT":
        return None
    # Revision 0 has a count, then flags, two addresses and two ports; later ones 16-byte addresses.
    flags_at, size = (4, 4) if revision == 0 else (0, 16)
    port_at = flags_at + 4 + 2 * size
    if len(info) < port_at + 4:
        return None
    (flags,) = struct.unpack_from("=I", info, flags_at)
    raw = info[flags_at + 4 : flags_at + 4 + size]
    if size == 16 and not any(raw[4:]):
        raw = raw[:4]
    if not flags & _HAS_ADDRESS:
        return None
    first, last = struct.unpack_from("!HH", info, port_at)
    base = None
    if flags & _SHIFTED and len(info) >= port_at + 6:
        (base,) = struct.unpack_from("!H", info, port_at + 4)
    return Target(_address(raw), first or None, last or None, base)


def text(data: bytes) -> str:
    """Return a C string."""
    return data.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _some(ports: tuple[int, int]) -> tuple[Ports, ...]:
    return () if ports == _ALL or ports[0] > ports[1] else (Ports(*ports),)


def _multiport(info: bytes) -> tuple[Ports, ...]:
    """`struct xt_multiport_v1`: what for, how many, 15 ports, 15 marks of a range's first, inverted."""
    if len(info) < 48 or info[0] != 1 or info[47]:
        return ()
    ports = struct.unpack_from("=15H", info, 2)[: info[1]]
    marks = info[32 : 32 + len(ports)]
    found: list[Ports] = []
    for place, port in enumerate(ports):
        if marks[place] and place + 1 < len(ports):
            found.append(Ports(port, max(port, ports[place + 1])))
        elif not place or not marks[place - 1]:
            found.append(Ports(port, port))
    return tuple(found)


def _address(raw: bytes) -> str:
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw)
