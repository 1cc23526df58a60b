"""Reads the interfaces of every network namespace, each once, with their counters."""

from collections.abc import Mapping

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


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
    peer_namespace_id: int | None
    counters: Mapping[str, int]
    """rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped."""


class NamespaceNetwork(Struct, frozen=True):
    """One network namespace's links."""

    namespace: int
    """Inode."""
    pid: int
    """The process through which it was read."""
    interfaces: tuple[Interface, ...]


class NetworkReading(Struct, frozen=True):
    """Every network namespace that has a process."""

    namespaces: tuple[NamespaceNetwork, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("network", NetworkReading)


def read(root: Root) -> NetworkReading:
    """Read the counters of each network namespace."""
    raise NotImplementedError(root)
