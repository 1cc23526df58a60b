"""Network namespaces above their interfaces: what listens, who talks, where the routes go."""

from collections.abc import Iterable, Mapping

from collectors.kernel import pinned, processes, sockets
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


def derive(joined: Joined, owners: Mapping[int, str]) -> tuple[NetworkNamespace, ...]:
    """Return every network namespace, the host's first; `owners` tells the container of one's own."""
    reading = joined.sample.get(sockets.KEY)
    if reading is None:
        return ()
    empty = joined.sample.get(pinned.KEY)
    read = joined.sample.get(processes.KEY)
    names = {one.pid: one.comm for one in read.processes} if read else {}
    host = joined.world.host[NET]
    inside = _inside(joined)
    passed_on = published.derive(joined, inside, _listening(joined, inside))
    return tuple(
        NetworkNamespace(
            inode=space.namespace,
            host=space.namespace == host,
            container=owners.get(space.namespace),
            containers=inside.get(space.namespace, ()),
            default_routes=tuple(
                Route(one.destination, one.gateway, one.interface, one.metric)
                for one in space.default_routes
            ),
            routes=space.routes,
            tcp_states=space.states,
            listeners=_listeners(joined, reading, space, names),
            connections=tuple(_connection(joined, reading, one) for one in space.connections),
            published=passed_on if space.namespace == host else (),
        )
        for space in sorted(
            (*reading.namespaces, *(empty.sockets if empty else ())),
            key=lambda one: (one.namespace != host, one.namespace),
        )
    )


def _listening(joined: Joined, inside: Mapping[int, tuple[str, ...]]) -> Iterable[Published]:
    reading = joined.sample.get(processes.KEY)
    if not any(one.comm in published.FORWARDERS for one in (reading.processes if reading else ())):
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
    joined: Joined, reading: SocketsReading, space: NamespaceSockets, names: Mapping[int, str]
) -> tuple[Listener, ...] | None:
    if space.listeners is None:
        return None
    found: list[Listener] = []
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
                command=next((names[pid] for pid in pids if pid in names), None),
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
