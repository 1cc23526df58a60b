"""Who the kernel killed for want of memory: in a cgroup itself, below it, in one that is gone. Pure.

Version 2 counts a kill in the cgroup and in all above it (memory.events), and besides in the cgroup
alone (memory.events.local): what a removed cgroup had counted stays in those above. Version 1 counts
where it happened only (memory.oom_control): with the cgroup its count is gone.
"""

from collections.abc import Mapping

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups.limits import Key, Table


def below(table: Table, group: raw.Cgroup) -> tuple[int | None, int | None]:
    """Return the kills in cgroups below one that are there, and in those that were removed.

    None where the kernel does not tell.
    """
    if group.memory is None:
        return None, None
    totals = _totals(table)
    there = sum(totals.get((one.hierarchy, one.path), 0) for one in table.below(group))
    if group.hierarchy:
        return there, None
    depth = table.depth(group)
    local = depth.memory_events_local if depth is not None else None
    total = group.memory.oom_kills
    if local is None or total is None:
        return there, None
    # The files are not read at one moment: a kill between two of them is no negative number.
    return there, max(0, total - local.get("oom_kill", 0) - there)


def _totals(table: Table) -> Mapping[Key, int]:
    """Return all kills in each cgroup and below it, as far as they are known; those of none left out."""
    if not table.kills:
        table.kills.append(_counted(table))
    return table.kills[0]


def _counted(table: Table) -> dict[Key, int]:
    totals: dict[Key, int] = {}
    for one in table.current.values():
        own = one.memory.oom_kills if one.memory is not None else None
        if own:
            for counting in table.chain(one) if one.hierarchy else (one,):
                key = (counting.hierarchy, counting.path)
                totals[key] = totals.get(key, 0) + own
    return totals


def dead_leaf(table: Table, group: raw.Cgroup) -> tuple[int, str] | None:
    """Return how many of the new kills were in a cgroup right below that is gone, and in which it may be.

    Version 2 keeps what a removed cgroup had counted in those above. So what neither the cgroup itself
    (memory.events.local; that it has no processes, where that is not known) nor a child's count grew by
    was in one that is gone. Version 1 forgets it: there the host's count in /proc/vmstat tells that
    somebody was killed, and it is laid on the cgroup below which cgroups were removed, where there
    is one alone.
    """
    if group.memory is None:
        return None
    return _dead_leaf_v1(table, group) if group.hierarchy else _dead_leaf_v2(table, group)


def _dead_leaf_v1(table: Table, group: raw.Cgroup) -> tuple[int, str] | None:
    past = table.past
    if not past.unaccounted or "memory" not in group.controllers:
        return None
    # A removed one may have been below another removed one: what is left above both is asked.
    nearest = {
        above
        for hierarchy, above in past.removed
        if hierarchy == group.hierarchy and (hierarchy, above) in table.current
    }
    if nearest != {group.path}:
        return None
    gone = past.removed.get((group.hierarchy, group.path), ())
    return past.unaccounted, " or ".join(gone[-3:])


def _dead_leaf_v2(table: Table, group: raw.Cgroup) -> tuple[int, str] | None:
    lately = table.lately(group)
    if lately is None and not table.past.seconds:
        return _between_two(table, group)
    if lately is None or not lately.kills:
        return None
    children = table.below(group)
    known = sum(one.kills for child in children if (one := table.lately(child)) is not None)
    gone = table.past.removed.get(("", group.path), ())
    there = {child.path for child in children}
    gone = tuple(path for path in gone if path not in there) or gone
    own = _own(table, group, lately.kills)
    if not gone or own is None or lately.kills - known - own <= 0:
        return None
    return lately.kills - known - own, " or ".join(gone[-3:])


def _own(table: Table, group: raw.Cgroup, most: int) -> int | None:
    """Return how many of the last minute's kills may have been in the cgroup itself; None: not known.

    Only one without processes has none for certain; of another the local count so far is the most.
    """
    if not group.processes:
        return 0
    depth = table.depth(group)
    if depth is None or depth.memory_events_local is None:
        return None
    return min(most, depth.memory_events_local.get("oom_kill", 0))


def _between_two(table: Table, group: raw.Cgroup) -> tuple[int, str] | None:
    """Return it from two samples alone."""
    new = grown(table, group, "oom_kill")
    if not new or group.processes:
        return None
    gone = sorted(
        path
        for (hierarchy, path), was in table.before.items()
        if not hierarchy and _parent(path) == group.path and not _there(table, path, was.inode)
    )
    known = sum(
        grown(table, child, "oom_kill") or _since_birth(table, child)
        for child in table.below(group)
    )
    if not gone or new <= known:
        return None
    return new - known, " or ".join(gone[:3])


def grown(table: Table, group: raw.Cgroup, event: str) -> int:
    """Return how much a count of memory.events grew since the sample before."""
    before = table.previous(group)
    if before is None or before.memory is None or group.memory is None:
        return 0
    return max(0, group.memory.events.get(event, 0) - before.memory.events.get(event, 0))


def _there(table: Table, path: str, inode: int) -> bool:
    now = table.current.get(("", path))
    return now is not None and now.inode == inode


def _since_birth(table: Table, group: raw.Cgroup) -> int:
    """Return the kills of a cgroup that was not there in the sample before."""
    if table.previous(group) is not None or group.memory is None:
        return 0
    return group.memory.oom_kills or 0


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
