"""Namespaces: who is in each, which containers, who owns it, what holds it."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable
from functools import partial
from itertools import chain

from msgspec import structs

from collectors.kernel import namespaces
from collectors.kernel.namespaces import IdMap, Membership
from inspector.discovery import cgroup_names
from inspector.domains.containers.model import IdMapping
from inspector.domains.namespaces.model import Namespace
from inspector.join import Joined, Structure
from inspector.memos import Memos


def derive(joined: Joined, memos: Memos | None = None) -> tuple[Namespace, ...]:
    """Return every namespace, by type as the kernel lists them, then by inode."""
    reading = joined.sample.get(namespaces.KEY)
    if reading is None:
        return ()
    memos = memos or Memos()
    # Who is in which namespace, and which namespaces there are, is a part of the structure.
    rows, structure = memos.one(_Rows), joined.structure
    if rows.structure is not structure:
        followed = _followed(rows, structure)
        rows.rows = _all(joined, reading, memos) if followed is None else followed
        rows.structure = structure
    if not memos.memo("namespaces", Namespace).made:
        memos.memo("namespaces", Namespace).keep()
    return rows.rows


class _Rows:
    """The rows of the frame before."""

    def __init__(self) -> None:
        self.structure: Structure | None = None
        self.rows: tuple[Namespace, ...] = ()


def _followed(rows: _Rows, structure: Structure) -> tuple[Namespace, ...] | None:
    """Return the rows where only processes have come and gone, which others there are like; else None."""
    before, change = rows.structure, structure.change
    if before is None or change is None or before.shape is not structure.shape:
        return None
    if change.since is not before.census:
        return None
    come, went = _by_namespace(change.came), _by_namespace(change.left)
    touched = come.keys() | went.keys()
    return tuple(
        _with(row, come.get(row.inode, ()), went.get(row.inode, ()))
        if row.inode in touched
        else row
        for row in rows.rows
    )


def _by_namespace(members: Iterable[Membership]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for member in members:
        for inode in member.inodes:
            if inode is not None:
                found.setdefault(inode, []).append(member.pid)
    return found


def _with(row: Namespace, come: Collection[int], went: Collection[int]) -> Namespace:
    pids = list(row.pids)
    for pid in went:
        del pids[bisect_left(pids, pid)]
    for pid in come:
        insort(pids, pid)
    return structs.replace(row, pids=tuple(pids), processes=len(pids))


def _all(
    joined: Joined, reading: namespaces.NamespacesReading, memos: Memos
) -> tuple[Namespace, ...]:
    memo = memos.memo("namespaces", Namespace)
    pids = _pids(reading)
    order = {kind: number for number, kind in enumerate(namespaces.TYPES)}
    host = set(reading.init) if any(reading.init) else set(reading.own)
    around = {None, *(one.id for one in joined.entities if one.group and one.group.kind == "self")}
    rows: list[Namespace] = []
    for space in sorted(reading.namespaces, key=lambda one: (order[one.type], one.inode)):
        inside = pids.get(space.inode, ())
        is_host = space.inode in host
        inputs = (
            space,
            inside,
            containers(joined, inside),
            is_host,
            () if is_host else _services(joined, inside, around),
        )
        rows.append(memo.of((space.type, space.inode), inputs, partial(_namespace, *inputs)))
    return tuple(rows)


def _pids(reading: namespaces.NamespacesReading) -> dict[int, tuple[int, ...]]:
    """Return who is in each namespace; most processes share a few sets of them."""
    together: dict[int, tuple[tuple[int | None, ...], list[int]]] = {}
    for member in reading.memberships:
        known = together.get(id(member.inodes))
        if known is None:
            together[id(member.inodes)] = (member.inodes, [member.pid])
        else:
            known[1].append(member.pid)
    found: dict[int, list[list[int]]] = {}
    for inodes, members in together.values():
        for inode in inodes:
            if inode is not None:
                found.setdefault(inode, []).append(members)
    return {inode: tuple(sorted(chain.from_iterable(parts))) for inode, parts in found.items()}


def _namespace(
    space: namespaces.Namespace,
    pids: tuple[int, ...],
    owners: tuple[str, ...],
    host: bool,  # noqa: FBT001 - the inputs of a memo, in their order
    services: tuple[str, ...],
) -> Namespace:
    return Namespace(
        inode=space.inode,
        type=space.type,
        parent=space.parent,
        owner_user_ns=space.owner_user_ns,
        owner_uid=space.owner_uid,
        processes=len(pids),
        pids=pids,
        containers=owners,
        pinned_by=tuple(f"{pin.kind} {pin.path}" for pin in space.pinned_by),
        uid_map=_mapping(space.uid_map),
        gid_map=_mapping(space.gid_map),
        host=host,
        services=services,
    )


def containers(joined: Joined, pids: Iterable[int]) -> tuple[str, ...]:
    """Return the containers that processes belong to, in the order of the containers."""
    found = {owner for owner in map(joined.owners.get, pids) if owner is not None}
    if len(found) < 2:
        return tuple(found)
    return tuple(entity.id for entity in joined.entities if entity.id in found)


def _services(
    joined: Joined, pids: Iterable[int], around: Collection[str | None]
) -> tuple[str, ...]:
    """Return the services of processes that are in no container; each once, by name.

    The container that this runs in is the host to all that is seen.
    """
    listed = joined.structure.world.processes
    found = (listed.get(pid) for pid in pids if joined.owners.get(pid) in around)
    sets = {id(process.cgroups): process.cgroups for process in found if process}
    paths = {entry.path for entries in sets.values() for entry in entries}
    return tuple(sorted({unit for path in paths if (unit := cgroup_names.service(path))}))


def _mapping(maps: tuple[IdMap, ...] | None) -> tuple[IdMapping, ...] | None:
    if maps is None:
        return None
    return tuple(IdMapping(one.inside, one.outside, one.count) for one in maps)
