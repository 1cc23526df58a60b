"""What is said of a network link, and of a network namespace as a whole."""

from collections.abc import Mapping

from msgspec import Struct

from collectors.formats.net_route import Route
from collectors.netlink.records import Socket


class Interface(Struct, frozen=True, kw_only=True):
    """One link; `None` where only /proc/PID/net/dev could be read."""

    name: str
    index: int | None
    kind: str | None
    """`veth`, `bridge`, … or `loopback`, `ether` of those without a kind."""
    up: bool | None
    mac: str | None
    addresses: tuple[str, ...]
    """With prefix length, as `10.0.0.2/24`."""
    peer_index: int | None
    """The other end's index (veth), or that of the device below (vlan, macvlan)."""
    peer_namespace_id: int | None
    """What this namespace calls the other one where that is; None: it is in this one, or there is
    no number for the other."""
    counters: Mapping[str, int]
    """rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped."""
    peer_namespace: int | None = None
    """Inode of the namespace where that is; None: not known, or there is none."""
    mtu: int | None = None
    """Bytes."""
    master_index: int | None = None
    """Index of the bridge (or bond) that it is a port of, in the same namespace."""


class NamespaceNetwork(Struct, frozen=True):
    """One network namespace's links."""

    namespace: int
    """Inode."""
    pid: int
    """The process through which it was read."""
    interfaces: tuple[Interface, ...]


class NamespaceSockets(Struct, frozen=True, kw_only=True):
    """One network namespace's sockets and routes."""

    namespace: int
    """Inode."""
    pid: int
    """The process through which it was read."""
    listeners: tuple[Socket, ...] | None
    """Listening tcp, udp that is not connected; None where they could not be read."""
    connections: tuple[Socket, ...]
    """Other sockets, as many as were wanted, of at most some seconds ago."""
    states: Mapping[str, int] | None
    """How many tcp sockets are in each state, all of them counted; None where that is not known yet."""
    default_routes: tuple[Route, ...]
    routes: int | None
    """How many routes the main tables have; None where that could not be read, or are too many."""
