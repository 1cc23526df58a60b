"""Who the kernel killed for want of memory: in a cgroup itself, below it, in one that is gone. Pure.

Version 2 counts a kill in the cgroup and in all above it (memory.events), and besides in the cgroup
alone (memory.events.local): what a removed cgroup had counted stays in those above. Version 1 counts
where it happened only (memory.oom_control): with the cgroup its count is gone.
"""

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups.limits import Key, Table


def below(table: Table, group: raw.Cgroup) -> tuple[int | None, int | None]:
    """Return the kills in cgroups below one that are there, and in those that were removed.

    None where the kernel does not tell.
    """
    if group.memory is None:
        return None, None
    totals = _totals(table)
    there = sum(totals[one.hierarchy, one.path] for one in table.below(group))
    if group.hierarchy:
        return there, None
    depth = table.depth(group)
    local = depth.memory_events_local if depth is not None else None
    total = group.memory.oom_kills
    if local is None or total is None:
        return there, None
    # The files are not read at one moment: a kill between two of them is no negative number.
    return there, max(0, total - local.get("oom_kill", 0) - there)


def _totals(table: Table) -> dict[Key, int]:
    """Return all kills in each cgroup and below it, as far as they are known."""
    if not table.kills:
        deepest = sorted(table.current.values(), key=lambda one: -len(one.path))
        for one in deepest:
            key = (one.hierarchy, one.path)
            own = (one.memory.oom_kills if one.memory is not None else None) or 0
            above = table.above(one) if one.hierarchy else None
            table.kills[key] = own + table.kills.get(key, 0)
            if above is not None:
                higher = (above.hierarchy, above.path)
                table.kills[higher] = table.kills.get(higher, 0) + table.kills[key]
    return table.kills
