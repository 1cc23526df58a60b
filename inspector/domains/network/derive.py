"""Interfaces of each network namespace, and what a container's own ones carried."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from collectors.collector import Key
from collectors.kernel import network, pinned
from collectors.kernel.network import Interface as RawInterface
from collectors.kernel.network import NamespaceNetwork, NetworkReading
from inspector.domains.network.model import Interface, NetworkUsage, Peer
from inspector.memos import Memos
from inspector.sample import Sample, differing, elapsed, rate

_COUNTERS = (
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
)
_MASTERS = frozenset({"bridge", "bond", "team", "vrf"})


def derive(
    current: Sample,
    owners: Mapping[int, str],
    host: int | None = None,
    memos: Memos | None = None,
) -> tuple[Interface, ...]:
    """Return every interface; `owners` tells the container of a namespace that is one's alone.

    `host` is the inode of the host's own namespace.
    """
    reading = current.get(network.LINKS) or current.get(network.KEY)
    if reading is None:
        return ()
    empty = current.get(pinned.KEY)
    if empty is not None and empty.links:
        reading = NetworkReading((*reading.namespaces, *empty.links))
    memos = memos or Memos()
    memo, rows = memos.memo("network", tuple[Interface, ...]), memos.one(_Rows)
    spaces = reading.namespaces
    places = differing(rows.spaces, spaces)
    if places is not None and [_ends(rows.spaces[at]) for at in places] != [
        _ends(spaces[at]) for at in places
    ]:
        places = None
    if places is None:
        rows.peers = _peers(reading)
    if rows.frame != memos.frame - 1 or (rows.owners, rows.host) != (owners, host):
        places = None
    if places is None:
        rows.parts = [()] * len(spaces)
        places = list(range(len(spaces)))
    else:
        memo.keep()
    rows.frame, rows.owners, rows.host, rows.spaces = memos.frame, owners, host, spaces
    for at in places:
        number = spaces[at].namespace
        inputs = (spaces[at], rows.peers, owners.get(number), number == host)
        rows.parts[at] = memo.of(number, inputs, partial(_namespace, *inputs))
    return tuple(chain.from_iterable(rows.parts))


class _Rows:
    """Those of the frame before, and what they were made from."""

    def __init__(self) -> None:
        self.frame = 0
        self.owners: Mapping[int, str] = {}
        self.host: int | None = None
        self.spaces: Sequence[NamespaceNetwork] = ()
        self.peers: Mapping[tuple[int, int], Peer] = {}
        self.parts: list[tuple[Interface, ...]] = []


def _namespace(
    space: NamespaceNetwork,
    peers: Mapping[tuple[int, int], Peer],
    container: str | None,
    host: bool,  # noqa: FBT001 - the inputs of a memo, in their order
) -> tuple[Interface, ...]:
    return tuple(_interface(space, raw, peers, container, host=host) for raw in space.interfaces)


def _ends(space: NamespaceNetwork) -> tuple[object, ...]:
    """Return all that pairs are found by."""
    links = [(one.name, one.index, one.peer_index, one.peer_namespace) for one in space.interfaces]
    return space.namespace, links


def by_namespace(sample: Sample | None) -> dict[int, NamespaceNetwork]:
    """Return each namespace's interfaces by its inode, as far as they were read."""
    reading = sample.get(_key(sample)) if sample is not None else None
    return {one.namespace: one for one in reading.namespaces} if reading else {}


def seconds(previous: Sample | None, current: Sample) -> float | None:
    """Return the time between the counters of two samples; None without two."""
    return elapsed(previous, current, _key(current))


def usage(
    earlier: NamespaceNetwork | None, space: NamespaceNetwork, seconds: float | None
) -> NetworkUsage:
    """Return the sums over a namespace's interfaces, loopback left out."""
    now = _total(space)
    before = _total(earlier) if earlier is not None else None
    return NetworkUsage(
        rx_bytes=now["rx_bytes"],
        tx_bytes=now["tx_bytes"],
        rx_packets=now["rx_packets"],
        tx_packets=now["tx_packets"],
        rx_bytes_per_second=rate(before["rx_bytes"] if before else None, now["rx_bytes"], seconds),
        tx_bytes_per_second=rate(before["tx_bytes"] if before else None, now["tx_bytes"], seconds),
        rx_errors=now["rx_errors"],
        tx_errors=now["tx_errors"],
        rx_dropped=now["rx_dropped"],
        tx_dropped=now["tx_dropped"],
    )


def _total(space: NamespaceNetwork) -> dict[str, int]:
    own = [one for one in space.interfaces if one.name != "lo" and one.kind != "loopback"]
    return {name: sum(one.counters.get(name, 0) for one in own) for name in _COUNTERS}


def _key(sample: Sample) -> Key[NetworkReading]:
    """Return which reading has the counters: every detail of the links, or nothing but them."""
    return network.LINKS if sample.get(network.LINKS) is not None else network.KEY


def _interface(
    space: NamespaceNetwork,
    raw: RawInterface,
    peers: Mapping[tuple[int, int], Peer],
    container: str | None,
    *,
    host: bool,
) -> Interface:
    namespace = space.namespace
    count = raw.counters.get
    peer = peers.get((namespace, raw.index)) if raw.index is not None else None
    if peer is None and raw.kind == "veth" and raw.peer_index is not None:
        peer = Peer(namespace=None, interface=None)
    return Interface(
        namespace=namespace,
        interface=raw.name,
        index=raw.index,
        kind=raw.kind,
        up=raw.up,
        peer=peer,
        addresses=raw.addresses,
        rx_bytes=count("rx_bytes", 0),
        tx_bytes=count("tx_bytes", 0),
        rx_packets=count("rx_packets", 0),
        tx_packets=count("tx_packets", 0),
        rx_errors=count("rx_errors", 0),
        tx_errors=count("tx_errors", 0),
        rx_dropped=count("rx_dropped", 0),
        tx_dropped=count("tx_dropped", 0),
        container=container,
        mtu=raw.mtu,
        mac=raw.mac,
        master=_master(space, raw),
        ports=_ports(space, raw),
        shared_with_host=host,
    )


def _ports(space: NamespaceNetwork, raw: RawInterface) -> tuple[str, ...]:
    if raw.kind not in _MASTERS or raw.index is None:
        return ()
    return tuple(sorted(one.name for one in space.interfaces if one.master_index == raw.index))


def _master(space: NamespaceNetwork, raw: RawInterface) -> str | None:
    if raw.master_index is None:
        return None
    return next((one.name for one in space.interfaces if one.index == raw.master_index), None)


def _peers(reading: NetworkReading) -> dict[tuple[int, int], Peer]:
    """Return the other end of each veth, by namespace and index.

    Each end names the other's index, and where the kernel would say it the other's namespace. Where
    it would not, two that name each other are a pair, when no other two do.
    """
    places = {
        (space.namespace, one.index): one.name
        for space in reading.namespaces
        for one in space.interfaces
    }
    ends: dict[tuple[int, int], list[tuple[int, str]]] = {}
    peers: dict[tuple[int, int], Peer] = {}
    for space in reading.namespaces:
        for one in space.interfaces:
            if one.index is None or one.peer_index is None:
                continue
            ends.setdefault((one.index, one.peer_index), []).append((space.namespace, one.name))
            there = one.peer_namespace
            if there is not None:
                name = places.get((there, one.peer_index))
                peers[space.namespace, one.index] = Peer(namespace=there, interface=name)
    for (index, other), mine in ends.items():
        theirs = ends.get((other, index), [])
        if len(mine) == 1 and len(theirs) == 1:
            peers.setdefault(
                (mine[0][0], index), Peer(namespace=theirs[0][0], interface=theirs[0][1])
            )
    return peers
