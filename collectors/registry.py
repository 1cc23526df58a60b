"""Every collector and every engine adapter: adding one is a line here."""

from collections.abc import Sequence

from collectors.collector import Collector, FileCollector
from collectors.engine import Engine
from collectors.kernel import (
    cgroups,
    host,
    layers,
    mounts,
    namespaces,
    network,
    processes,
    security,
)
from collectors.root import Root


def collectors(root: Root) -> Sequence[Collector[object]]:
    """Return one of each collector."""
    return (
        FileCollector(host.KEY, host.read, root),
        FileCollector(processes.KEY, processes.read, root),
        FileCollector(namespaces.KEY, namespaces.read, root),
        FileCollector(cgroups.KEY, cgroups.read, root),
        FileCollector(mounts.KEY, mounts.read, root),
        FileCollector(layers.KEY, layers.read, root),
        FileCollector(network.KEY, network.read, root),
        FileCollector(security.KEY, security.read, root),
    )


def engines(*, engine_root: str, engine_state: str) -> Sequence[Engine]:
    """Return one of each engine adapter; the two directories are the embedded engine's own."""
    del engine_root, engine_state
    return ()
