"""Network namespaces above their interfaces: what listens, who talks, where the routes go."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collectors.kernel import pinned, sockets
from collectors.kernel.processes import Process
from collectors.kernel.sockets import NamespaceSockets, Socket, SocketsReading
from inspector.discovery.world import NET
from inspector.domains.network import published
from inspector.domains.network.model import (
    Connection,
    Listener,
    NetworkNamespace,
    Published,
    Route,
)
from inspector.join import Joined
from inspector.memos import Memos


class _Plain(NamedTuple):
    """One in which nobody listens or talks, and what it was made from."""

    space: NamespaceSockets
    container: str | None
    containers: tuple[str, ...]
    row: NetworkNamespace


class _Rows:
    """The plain ones of the frame before."""

    def __init__(self) -> None:
        self.kept: dict[int, _Plain] = {}


def derive(
    joined: Joined, owners: Mapping[int, str], memos: Memos | None = None
) -> tuple[NetworkNamespace, ...]:
    """Return every network namespace, the host's first; `owners` tells the container of one's own."""
    reading = joined.sample.get(sockets.KEY)
    if reading is None:
        return ()
    empty = joined.sample.get(pinned.KEY)
    memos = memos or Memos()
    rows, host = memos.one(_Rows), joined.world.host[NET]
    inside = memos.memo("inside networks", dict[int, tuple[str, ...]]).of(
        "", (joined.structure.shape,), lambda: _inside(joined)
    )
    passing = memos.memo("passing on", tuple[Process, ...]).of(
        "", (joined.structure,), lambda: published.passing(joined)
    )
    passed_on = published.derive(joined, inside, passing, _listening(joined, inside, passing))
    before, rows.kept = rows.kept, {}
    found: list[NetworkNamespace] = []
    for space in sorted(
        (*reading.namespaces, *(empty.sockets if empty else ())),
        key=lambda one: (one.namespace != host, one.namespace),
    ):
        number, container = space.namespace, owners.get(space.namespace)
        containers = inside.get(number, ())
        kept = before.get(number)
        if kept is None or kept[:3] != (space, container, containers) or number == host:
            row = _row(joined, reading, space, container, containers, passed_on)
            kept = _Plain(space, container, containers, row)
        if not space.listeners and not space.connections:
            rows.kept[number] = kept
        found.append(kept.row)
    return tuple(found)


def _row(
    joined: Joined,
    reading: SocketsReading,
    space: NamespaceSockets,
    container: str | None,
    containers: tuple[str, ...],
    passed_on: tuple[Published, ...],
) -> NetworkNamespace:
    host = space.namespace == joined.world.host[NET]
    return NetworkNamespace(
        inode=space.namespace,
        host=host,
        container=container,
        containers=containers,
        default_routes=tuple(
            Route(one.destination, one.gateway, one.interface, one.metric)
            for one in space.default_routes
        ),
        routes=space.routes,
        tcp_states=space.states,
        listeners=_listeners(joined, reading, space),
        connections=tuple(_connection(joined, reading, one) for one in space.connections),
        published=passed_on if host else (),
    )


def _listening(
    joined: Joined, inside: Mapping[int, tuple[str, ...]], passing: Iterable[Process]
) -> Iterable[Published]:
    if not any(one.comm in published.FORWARDERS for one in passing):
        return ()
    from inspector.domains.network import forwarders  # noqa: PLC0415 - few hosts have one

    return forwarders.derive(joined, inside)


def _inside(joined: Joined) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for entity in joined.entities:
        inodes = joined.spaces(entity)
        inode = inodes[NET] if inodes else None
        if inode is not None:
            found.setdefault(inode, []).append(entity.id)
    return {inode: tuple(containers) for inode, containers in found.items()}


def _listeners(
    joined: Joined, reading: SocketsReading, space: NamespaceSockets
) -> tuple[Listener, ...] | None:
    if space.listeners is None:
        return None
    found: list[Listener] = []
    listed = joined.world.processes
    for one in sorted(space.listeners, key=lambda one: (one.port, one.protocol, one.address)):
        pids = reading.holders.get(one.inode, ())
        found.append(
            Listener(
                protocol=one.protocol,
                address=one.address,
                port=one.port,
                uid=one.uid,
                inode=one.inode,
                pids=pids,
                command=next((listed[pid].comm for pid in pids if pid in listed), None),
                container=_owner(joined, pids),
            )
        )
    return tuple(found)


def _connection(joined: Joined, reading: SocketsReading, one: Socket) -> Connection:
    pids = reading.holders.get(one.inode, ())
    return Connection(
        protocol=one.protocol,
        state=one.state,
        address=one.address,
        port=one.port,
        remote_address=one.remote_address,
        remote_port=one.remote_port,
        inode=one.inode,
        pids=pids,
        container=_owner(joined, pids),
    )


def _owner(joined: Joined, pids: Iterable[int]) -> str | None:
    return next((joined.owners[pid] for pid in pids if pid in joined.owners), None)
