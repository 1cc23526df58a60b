"""Network counters and interfaces, as the dump shows them."""

from msgspec import Struct


class NetworkUsage(Struct, frozen=True, kw_only=True):
    """A container's own interfaces together, loopback left out."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_bytes_per_second: float | None
    tx_bytes_per_second: float | None


class Peer(Struct, frozen=True):
    """The other end of a veth pair, where it could be found."""

    namespace: int | None
    interface: str | None


class Interface(Struct, frozen=True, kw_only=True):
    """One interface of one network namespace."""

    namespace: int
    interface: str
    index: int | None
    kind: str | None
    up: bool | None
    peer: Peer | None
    addresses: tuple[str, ...]
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int
    container: str | None
