"""Tells which cgroups' derived numbers are those of the frame before: nothing that they say has changed."""

from collections.abc import Sequence

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups import bounds, kills
from inspector.domains.cgroups.limits import THROTTLED, Table


def about(table: Table, group: raw.Cgroup) -> tuple[object, ...] | None:
    """Return all that a cgroup's numbers and verdicts are made from; None while they change.

    A counter that stands still grows by 0 a second however long that takes: so the time between two
    samples is none of it. What comes from the cgroups around it is: which limits bind, who above
    is held back, whom the kernel killed below.
    """
    key = (group.hierarchy, group.path)
    if key not in table.made_from:
        table.made_from[key] = _made_from(table, group)
    return table.made_from[key]


def _made_from(table: Table, group: raw.Cgroup) -> tuple[object, ...] | None:
    if table.previous(group) is not group:
        return None
    return (
        group,
        table.seconds is None,
        table.asked,
        table.depth(group),
        table.limits((group,)),
        bounds.of(table, group) if table.asked else None,
        kills.below(table, group) if table.asked else None,
        _held(table, group) if table.held else (),
        table.device_names,
        _lately(table, group),
    )


def _lately(table: Table, group: raw.Cgroup) -> tuple[object, ...]:
    """Return what the last minute's growth says of a cgroup: its own, and of those around it."""
    past = table.past
    if not past.grown and not past.unaccounted:
        return ()
    around = [table.lately(one) for one in (*table.chain(group), *table.below(group))]
    gone = (past.unaccounted, past.removed) if past.unaccounted or any(around) else ()
    return (past.seconds, *around, gone) if any(around) or past.unaccounted else ()


def abouts(table: Table, groups: Sequence[raw.Cgroup]) -> tuple[object, ...] | None:
    """Return the same of several cgroups together; None while any of them changes."""
    found = tuple([about(table, group) for group in groups])
    return None if None in found else found


def _held(table: Table, group: raw.Cgroup) -> tuple[object, ...]:
    return tuple(
        (above.path, ratio, above.cpu.quota_usec, above.cpu.period_usec)
        for above in table.chain(group)
        if above.cpu is not None
        and (ratio := table.throttled.get((above.hierarchy, above.path), 0.0)) >= THROTTLED
    )
