"""Every collector and every engine adapter: adding one is a line here."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from collectors.collector import Collector, FileCollector
from collectors.engine import Engine
from collectors.kernel import (
    cgroups,
    filesystems,
    host,
    layers,
    mounts,
    namespaces,
    network,
    pinned,
    ports,
    processes,
    security,
    sockets,
    tasks,
)
from collectors.members import Members, MountTables
from collectors.root import Root
from collectors.table import Table

if TYPE_CHECKING:
    from collectors.cgroupfs.records import Activity


def collectors(root: Root, *, listen: bool = False) -> Sequence[Collector[object]]:
    """Return one of each collector; with `listen` also the one that hears what is between readings."""
    table = Table()
    tables = MountTables(table)
    groups = cgroups.Reader(_activity(table) if listen else lambda: None)
    who = Members(table=table, tables=tables)
    spaces = namespaces.Reader(table, tables)
    made = (
        FileCollector(host.KEY, host.read, root),
        FileCollector(processes.KEY, processes.Reader(table).read, root),
        FileCollector(namespaces.KEY, spaces.read, root),
        FileCollector(cgroups.KEY, groups.read, root),
        FileCollector(cgroups.DEPTH, groups.read_depth, root),
        FileCollector(mounts.KEY, mounts.Reader(who).read, root),
        FileCollector(filesystems.KEY, filesystems.Reader(who).read, root),
        FileCollector(layers.KEY, layers.Reader(who).read, root),
        FileCollector(network.KEY, network.Reader(who).read, root),
        FileCollector(network.LINKS, network.LinkReader(who).read, root),
        FileCollector(sockets.KEY, sockets.SocketReader(who).read, root),
        FileCollector(pinned.KEY, pinned.Reader(lambda: spaces.empty_networks, who).read, root),
        FileCollector(ports.KEY, ports.ForwardsReader().read, root),
        FileCollector(tasks.KEY, partial(tasks.read, who=who), root),
        FileCollector(security.KEY, security.Reader(who).read, root),
    )
    if not listen or not root.live:
        return made
    from collectors.kernel import happened  # noqa: PLC0415 - who reads once does not listen

    heard = happened.Reader(who, groups.memory_directories)
    listening = FileCollector(happened.KEY, heard.read, root)
    return (*made, listening)


def _activity(table: Table) -> Callable[[], "Activity | None"]:
    from collectors.kernel.stirred import Stirred  # noqa: PLC0415 - who reads once has no use for it

    return Stirred(table).take


def engines(*, engine_root: str, engine_state: str, listen: bool = False) -> Sequence[Engine]:
    """Return one of each engine adapter; the two directories are the embedded engine's own.

    With `listen` they will be asked again and again (`engine_registry.sockets`).
    """
    # Of a recorded host no engine is asked: then none of the adapters is loaded.
    from collectors import engine_registry  # noqa: PLC0415
    from collectors.engines.embedded import EmbeddedEngine  # noqa: PLC0415

    return (
        EmbeddedEngine(root=engine_root, state=engine_state),
        *engine_registry.sockets(os.environ, listen=listen),
        *engine_registry.directories(os.environ),
    )
