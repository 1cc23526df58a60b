"""Namespaces: who is in each, which containers, who owns it, what holds it."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final, NamedTuple

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


class _Together(NamedTuple):
    """Processes that share all their namespaces, as most share a few sets of them."""

    pids: tuple[int, ...]
    owners: frozenset[str]
    services: frozenset[str]
    """systemd's, of those that are in no container; each once."""


def _all(
    joined: Joined, reading: namespaces.NamespacesReading, memos: Memos
) -> tuple[Namespace, ...]:
    memo = memos.memo("namespaces", Namespace)
    together = _together(joined, reading)
    order = {kind: number for number, kind in enumerate(namespaces.TYPES)}
    places = {entity.id: number for number, entity in enumerate(joined.entities)}
    host = set(reading.init) if any(reading.init) else set(reading.own)
    rows: list[Namespace] = []
    for space in sorted(reading.namespaces, key=lambda one: (order[one.type], one.inode)):
        sets = together.get(space.inode, _NOBODY)
        is_host = space.inode in host
        inside, owners, services = sets[0] if len(sets) == 1 else _merged(sets)
        inputs = (
            space,
            inside,
            tuple(owners) if len(owners) < 2 else tuple(sorted(owners, key=places.__getitem__)),
            is_host,
            () if is_host or not services else tuple(sorted(services)),
        )
        rows.append(memo.of((space.type, space.inode), inputs, partial(_namespace, *inputs)))
    return tuple(rows)


_NOBODY: Final = (_Together((), frozenset(), frozenset()),)


def _merged(sets: Sequence[_Together]) -> _Together:
    return _Together(
        tuple(sorted(chain.from_iterable([one.pids for one in sets]))),
        frozenset().union(*[one.owners for one in sets]),
        frozenset().union(*[one.services for one in sets]),
    )


def _together(joined: Joined, reading: namespaces.NamespacesReading) -> dict[int, list[_Together]]:
    """Return who is in each namespace."""
    sets: dict[int, tuple[tuple[int | None, ...], list[int]]] = {}
    for member in reading.memberships:
        known = sets.get(id(member.inodes))
        if known is None:
            sets[id(member.inodes)] = (member.inodes, [member.pid])
        else:
            known[1].append(member.pid)
    # The container that this runs in is the host to all that is seen.
    around = {one.id for one in joined.entities if one.group and one.group.kind == "self"}
    found: dict[int, list[_Together]] = {}
    for inodes, pids in sets.values():
        owners = [joined.owners.get(pid) for pid in pids]
        outside = [
            pid for pid, owner in zip(pids, owners, strict=True) if owner is None or owner in around
        ]
        one = _Together(
            tuple(sorted(pids)),
            frozenset(owner for owner in owners if owner is not None),
            _services(joined, outside) if outside else frozenset(),
        )
        for inode in inodes:
            if inode is not None:
                found.setdefault(inode, []).append(one)
    return found


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


def _services(joined: Joined, pids: Iterable[int]) -> frozenset[str]:
    listed = joined.structure.world.processes
    found = (listed.get(pid) for pid in pids)
    sets = {id(process.cgroups): process.cgroups for process in found if process}
    paths = {entry.path for entries in sets.values() for entry in entries}
    return frozenset(unit for path in paths if (unit := cgroup_names.service(path)))


def _mapping(maps: tuple[IdMap, ...] | None) -> tuple[IdMapping, ...] | None:
    if maps is None:
        return None
    return tuple(IdMapping(one.inside, one.outside, one.count) for one in maps)
