"""Network counters and interfaces, as the dump shows them."""

from collections.abc import Mapping

from msgspec import Struct


class NetworkUsage(Struct, frozen=True, kw_only=True, gc=False):
    """A container's own interfaces together, loopback left out."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_bytes_per_second: float | None
    tx_bytes_per_second: float | None
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0


class Peer(Struct, frozen=True, gc=False):
    """The other end of a veth pair, where it could be found."""

    namespace: int | None
    interface: str | None


class Interface(Struct, frozen=True, kw_only=True, gc=False):
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
    mtu: int | None = None
    mac: str | None = None
    master: str | None = None
    """The bridge or bond that it is a port of."""
    ports: tuple[str, ...] = ()
    """A bridge's or a bond's own, by name."""
    shared_with_host: bool = False
    """Whether it is the host's: a container that shares its namespace has no counters of its own."""


class Listener(Struct, frozen=True, kw_only=True, gc=False):
    """What takes connections or datagrams from others, with the processes that have it open."""

    protocol: str
    """`tcp` or `udp`."""
    address: str
    """`0.0.0.0` and `::` are all of the namespace's own."""
    port: int
    uid: int
    inode: int
    pids: tuple[int, ...]
    """By the host; empty where none was found, as of another user's processes without root."""
    command: str | None
    """Name of the first process."""
    container: str | None
    """Of the first process that is in one."""


class Connection(Struct, frozen=True, kw_only=True, gc=False):
    """One connected socket."""

    protocol: str
    state: str
    address: str
    port: int
    remote_address: str
    remote_port: int
    inode: int
    """0: no process has it any more."""
    pids: tuple[int, ...]
    container: str | None


class Route(Struct, frozen=True, gc=False):
    """One route."""

    destination: str
    gateway: str | None
    interface: str
    metric: int


class Published(Struct, frozen=True, kw_only=True, gc=False):
    """A port of the host's that is passed on to a container."""

    protocol: str
    address: str
    port: int
    to_address: str | None
    """Null, and so the port, where only the process that passes it on knows."""
    to_port: int | None
    container: str | None
    """Whose the address is, where that could be found."""
    by: str
    """What passes it on: `docker-proxy, pid 12`, `a rule of nftables, ip nat DOCKER`."""
    last_port: int | None = None
    """Of a range: its first is `port`."""
    to_last_port: int | None = None


class NetworkNamespace(Struct, frozen=True, kw_only=True, gc=False):
    """One network namespace above its interfaces."""

    inode: int
    host: bool
    container: str | None
    """The eldest whose own it is; the host's is none's."""
    containers: tuple[str, ...]
    """All that are in it."""
    default_routes: tuple[Route, ...]
    routes: int | None
    """Of the main tables; null where they could not be counted."""
    tcp_states: Mapping[str, int] | None
    listeners: tuple[Listener, ...] | None
    """Null where they could not be read."""
    connections: tuple[Connection, ...]
    """At most 500 of them, as of some seconds ago; `tcp_states` counts all."""
    published: tuple[Published, ...] = ()
