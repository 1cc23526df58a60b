"""/proc/PID/net/route and ipv6_route (proc_pid_net(5)): a network namespace's routes."""

import ipaddress
import sys

from msgspec import Struct

from runtime.errors import FormatError

_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200
_LOCAL, _ANYCAST, _CACHE = 0x80000000, 0x00100000, 0x01000000
"""RTF_… of linux/route.h and linux/ipv6_route.h."""


class Route(Struct, frozen=True):
    """One route of the main table."""

    destination: str
    """With its prefix length: `0.0.0.0/0` is the default one."""
    gateway: str | None
    interface: str
    metric: int

    @property
    def default(self) -> bool:
        """Whether everything goes there that no other route is for."""
        return self.destination.endswith("/0")


def parse(data: bytes) -> tuple[Route, ...]:
    """Return the routes of `net/route`; raise `FormatError` on a line that is not one.

    A namespace that never had a route has no table, and not even the heading (fib_trie.c).
    """
    if not data:
        return ()
    lines = data.split(b"\n")
    if len(lines) < 2 or lines[-1]:
        raise FormatError("net/route ends within a line, or has no heading")
    found: list[Route] = []
    for line in lines[1:-1]:
        fields = line.split(b"\t")
        try:
            flags = int(fields[3], 16)
            mask = int(fields[7], 16).bit_count()
            gateway = _v4(fields[2])
            route = Route(
                f"{_v4(fields[1])}/{mask}",
                gateway if flags & _GATEWAY else None,
                fields[0].strip().decode("utf-8", "surrogateescape"),
                int(fields[6]),
            )
        except (ValueError, IndexError):
            raise FormatError(f"not a line of net/route: {line[:80]!r}") from None
        if flags & _UP and not flags & _REJECT:
            found.append(route)
    return tuple(found)


def parse_v6(data: bytes) -> tuple[Route, ...]:
    """Return the routes of `net/ipv6_route`, without local addresses and multicast; raise as `parse`."""
    lines = data.split(b"\n")
    if lines[-1]:
        raise FormatError("net/ipv6_route ends within a line")
    found: list[Route] = []
    for line in lines[:-1]:
        fields = line.split()
        try:
            flags = int(fields[8], 16)
            destination = ipaddress.IPv6Address(bytes.fromhex(fields[0].decode("ascii")))
            gateway = ipaddress.IPv6Address(bytes.fromhex(fields[4].decode("ascii")))
            route = Route(
                f"{destination}/{int(fields[1], 16)}",
                str(gateway) if flags & _GATEWAY else None,
                fields[9].decode("utf-8", "surrogateescape"),
                int(fields[5], 16),
            )
        except (ValueError, IndexError):
            raise FormatError(f"not a line of net/ipv6_route: {line[:80]!r}") from None
        hidden = flags & (_REJECT | _LOCAL | _ANYCAST | _CACHE) or destination.is_multicast
        if flags & _UP and not hidden:
            found.append(route)
    return tuple(found)


def _v4(field: bytes) -> str:
    raw = bytes.fromhex(field.decode("ascii"))
    if len(raw) != 4:
        raise ValueError(field)
    return str(ipaddress.IPv4Address(raw[::-1] if sys.byteorder == "little" else raw))
