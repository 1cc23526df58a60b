"""Owners of cgroups, namespaces and mounts."""

from collections.abc import Sequence
from typing import Final

from inspector.domains.cgroups.model import Cgroup
from inspector.domains.namespaces.model import Namespace
from inspector.owner.facts import Facts
from inspector.owner.model import Answer, Miss, Question

_SHOWN: Final = 8


def cgroup(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a cgroup's path, below a hierarchy's root or in the file system, or for its id.

    A cgroup's id is its directory's inode, and the handle of name_to_handle_at(2).
    """
    hierarchy, path = _below_its_root(asked.value, facts)
    number = int(asked.value) if asked.value.isascii() and asked.value.isdigit() else None
    found = [
        one
        for one in facts.cgroups
        if (one.inode == number if number is not None else one.path == path)
        and (hierarchy is None or one.hierarchy == hierarchy)
    ]
    if not found:
        return Miss("cgroup", f"there is no cgroup {asked.value}")
    chain: list[str] = []
    owners = [one.container for one in found if one.container is not None]
    by_owner: dict[tuple[str, str | None], list[Cgroup]] = {}
    for one in found:
        by_owner.setdefault((one.path, one.container), []).append(one)
    for (where, owner), group in by_owner.items():
        names = ", ".join(f"{one.hierarchy or 'unified'} (id {one.inode})" for one in group)
        chain.append(f"{where} is a cgroup of hierarchy {names}")
        if owner is not None:
            chain.append(f"it is, or is below, {facts.name(owner)}'s own")
        else:
            chain.append(_below(group, facts))
    return Answer(
        kind="cgroup",
        subject=f"cgroup {asked.value}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else "a cgroup of the host's",
    )


def namespace(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a namespace's inode."""
    found = next(
        (one for one in facts.namespaces if str(one.inode) == asked.value.lstrip("0")), None
    )
    if found is None:
        return Miss("namespace", f"there is no namespace {asked.value}")
    chain = [f"{found.inode} is a {found.type} namespace with {_count(found.processes)} in it"]
    chain += [f"it is pinned by {pin}" for pin in found.pinned_by]
    owners = () if found.host else found.containers
    if found.host:
        chain.append("it is the host's own: pid 1 is in it")
        if found.containers:
            names = ", ".join(facts.name(one) for one in found.containers)
            chain.append(f"shared with {names}")
    elif len(owners) > 1:
        chain.append(f"it is shared by {' and '.join(facts.name(one) for one in owners)}")
    elif owners:
        chain.append(f"it is {facts.name(owners[0])}'s")
    return Answer(
        kind="namespace",
        subject=f"{found.type} namespace {found.inode}",
        owners=facts.owners(owners),
        chain=tuple(chain),
        instead=None if owners else _nobodys(found, facts),
    )


def mount(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a mount's id, as the first field of mountinfo has it."""
    found = [one for one in facts.mounts if str(one.mount_id) == asked.value.lstrip("0")]
    if not found:
        return Miss(
            "mount", f"there is no mount with id {asked.value} in a namespace that was read"
        )
    chain: list[str] = []
    owners: list[str] = []
    for one in found:
        where = (
            "the host's mount namespace"
            if facts.is_hosts(one.namespace)
            else f"mount namespace {one.namespace}"
        )
        chain.append(f"mount {one.mount_id} is a {one.fstype} at {one.mountpoint} in {where}")
        ids = [] if facts.is_hosts(one.namespace) else facts.members(one.namespace)
        chain += [f"that namespace is {facts.name(name)}'s" for name in ids]
        owners += ids
    host = any(facts.is_hosts(one.namespace) for one in found)
    return Answer(
        kind="mount",
        subject=f"mount {asked.value}",
        owners=facts.owners(owners),
        chain=tuple(chain),
        instead=None if owners else "a mount of the host's" if host else "no container's mount",
    )


def _below_its_root(value: str, facts: Facts) -> tuple[str | None, str]:
    """Return the hierarchy and the path in it of a path in the file system; else the path itself."""
    path = "/" + value.strip("/")
    best: tuple[int, str, str] | None = None
    mounted = facts.frame.host.cgroup
    for one in mounted.hierarchies if mounted else ():
        top = one.mountpoint.rstrip("/")
        if (path == top or path.startswith(f"{top}/")) and (best is None or len(top) > best[0]):
            # A hierarchy of version 2 is told by no name, whatever controllers it has.
            name = "" if one.version == 2 else ",".join(one.controllers)
            best = (len(top), name, path[len(top) :] or "/")
    return (None, path) if best is None else (best[1], best[2])


def _below(group: Sequence[Cgroup], facts: Facts) -> str:
    """Return which containers have cgroups below one that is none's, the same in some hierarchies."""
    top = group[0].path.rstrip("/")
    hierarchies = {one.hierarchy for one in group}
    ids = dict.fromkeys(
        other.container
        for other in facts.cgroups
        if other.hierarchy in hierarchies
        and other.container is not None
        and other.path.startswith(f"{top}/")
    )
    if not ids:
        return "no container is in it or below"
    names = ", ".join(facts.name(name) for name in list(ids)[:_SHOWN])
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"it is no container's own, but above those of {names}{more}"


def _nobodys(found: Namespace, facts: Facts) -> str:
    if found.host:
        return "the host's own"
    if found.pids:
        return (
            f"a namespace of processes that are in no container, as {facts.process(found.pids[0])}"
        )
    if found.pinned_by:
        return f"a namespace without a process, held by {found.pinned_by[0]}"
    return "a namespace without a process"


def _count(processes: int) -> str:
    return "one process" if processes == 1 else f"{processes} processes"
