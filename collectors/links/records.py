"""What is said of a network link."""

from collections.abc import Mapping

from msgspec import Struct


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
