"""Namespaces: who is in each, which containers, who owns it, what holds it."""

from collectors.kernel import namespaces
from collectors.kernel.namespaces import IdMap
from inspector.discovery import cgroup_names
from inspector.domains.containers.model import IdMapping
from inspector.domains.namespaces.model import Namespace
from inspector.join import Joined


def derive(joined: Joined) -> tuple[Namespace, ...]:
    """Return every namespace, by type as the kernel lists them, then by inode."""
    reading = joined.sample.get(namespaces.KEY)
    if reading is None:
        return ()
    pids: dict[int, list[int]] = {}
    for member in reading.memberships:
        for inode in member.inodes:
            if inode is not None:
                pids.setdefault(inode, []).append(member.pid)
    order = {kind: number for number, kind in enumerate(namespaces.TYPES)}
    host = set(reading.init) if any(reading.init) else set(reading.own)
    return tuple(
        Namespace(
            inode=space.inode,
            type=space.type,
            parent=space.parent,
            owner_user_ns=space.owner_user_ns,
            owner_uid=space.owner_uid,
            processes=len(pids.get(space.inode, ())),
            pids=tuple(sorted(pids.get(space.inode, ()))),
            containers=containers(joined, pids.get(space.inode, ())),
            pinned_by=tuple(f"{pin.kind} {pin.path}" for pin in space.pinned_by),
            uid_map=_mapping(space.uid_map),
            gid_map=_mapping(space.gid_map),
            host=space.inode in host,
            services=() if space.inode in host else _services(joined, pids.get(space.inode, ())),
        )
        for space in sorted(reading.namespaces, key=lambda one: (order[one.type], one.inode))
    )


def containers(joined: Joined, pids: list[int] | tuple[int, ...]) -> tuple[str, ...]:
    """Return the containers that processes belong to, in the order of the containers."""
    found = {joined.owners[pid] for pid in pids if pid in joined.owners}
    if len(found) < 2:
        return tuple(found)
    return tuple(entity.id for entity in joined.entities if entity.id in found)


def _services(joined: Joined, pids: list[int] | tuple[int, ...]) -> tuple[str, ...]:
    """Return the services of processes that are in no container; each once, by name.

    The container that this runs in is the host to all that is seen.
    """
    around = {None, *(one.id for one in joined.entities if one.group and one.group.kind == "self")}
    processes = (
        joined.world.processes.get(pid) for pid in pids if joined.owners.get(pid) in around
    )
    paths = {entry.path for process in processes if process for entry in process.cgroups}
    return tuple(sorted({unit for path in paths if (unit := cgroup_names.service(path))}))


def _mapping(maps: tuple[IdMap, ...] | None) -> tuple[IdMapping, ...] | None:
    if maps is None:
        return None
    return tuple(IdMapping(one.inside, one.outside, one.count) for one in maps)
