"""Tells which cgroups' derived numbers are those of the frame before: nothing that they say has changed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups import bounds, kills, verdicts
from inspector.domains.cgroups.limits import THROTTLED, Key, Table, own_limits
from inspector.memos import Memos
from inspector.sample import other_values

T = TypeVar("T")


def about(table: Table, group: raw.Cgroup) -> tuple[object, ...] | None:
    """Return all that a cgroup's numbers and verdicts are made from, but its pressure; None while they change.

    A counter that stands still grows by 0 a second however long that takes: so the time between two
    samples is none of it. What comes from the cgroups around it is: which limits bind, who above
    is held back, whom the kernel killed below.
    """
    key = (group.hierarchy, group.path)
    if key not in table.made_from:
        table.made_from[key] = _made_from(table, group)
    return table.made_from[key]


def _made_from(table: Table, group: raw.Cgroup) -> tuple[object, ...] | None:
    before = table.previous(group)
    standing = table.standing.get((group.hierarchy, group.path))
    if before is None or (before is not group and standing is None):
        return None
    return (
        standing or group,
        tuple(verdicts.pressure((group,))),
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


class _Carried:
    """The table of the frame before, with what was found out about its cgroups."""

    def __init__(self) -> None:
        self.table: Table | None = None
        self.moved: set[Key] | None = None
        """Those whose pressure may have been another one still before; None: any."""
        self.unsettled: set[Key] | None = None
        self.rebound: set[Key] | None = None
        self.children: dict[Key, set[Key]] = {}


def last(memos: Memos) -> Table | None:
    """Return the table of the frame before; once `carry` was called, of this one."""
    return memos.one(_Carried).table


def unsettled(memos: Memos) -> Collection[Key] | None:
    """Return the cgroups of which something may differ from the frame before, those gone too; None: any.

    One that changed before, and no more, is among them: what grew then does not any more.
    """
    return memos.one(_Carried).unsettled


def rebound(memos: Memos) -> set[Key] | None:
    """Return the cgroups whose limits may differ from the frame before, those gone too; None: any."""
    return memos.one(_Carried).rebound


def carry(table: Table, memos: Memos) -> None:
    """Take over what was found out for the frame before, of the cgroups around which nothing changed."""
    carried = memos.one(_Carried)
    last, carried.table = carried.table, table
    moved, carried.moved, carried.unsettled, carried.rebound = carried.moved, None, None, None
    if table.changed is None:
        carried.children = {}
    if last is None or not _continues(last, table):
        return
    change = _Change(last, table, carried.children)
    carried.moved = change.touched | change.pressed
    carried.rebound = change.rebound
    stale = change.touched | change.gone
    _take(table.known_limits, last.known_limits, stale)
    _take(table.bounds, last.bounds, stale)
    _take(table.standing, last.standing, stale)
    _take(table.made_from, last.made_from, stale)
    if not change.killed:
        table.kills.extend(last.kills)
    if moved is not None:
        carried.unsettled = stale | moved | change.pressed
        _take(table.pressures, last.pressures, stale | moved | change.pressed)
    for key in [key for key, found in table.made_from.items() if found is None]:
        del table.made_from[key]
    for key in change.pressed:
        table.standing.setdefault(key, last.current[key])


def _take(now: dict[Key, T], before: Mapping[Key, T], stale: Iterable[Key]) -> None:
    now.update(before)
    for key in stale:
        now.pop(key, None)


def _continues(last: Table, table: Table) -> bool:
    """Return whether the one is of the sample before the other's, and what holds for all is the same."""
    return (
        table.earlier is last.listed
        and (table.seconds is None) == (last.seconds is None)
        and table.asked == last.asked
        and table.device_names == last.device_names
        and not table.past.unaccounted
        and not last.past.unaccounted
    )


class _Change:
    """Which cgroups differ between two tables, and which are close enough to these to differ with them."""

    def __init__(self, last: Table, table: Table, children: dict[Key, set[Key]]) -> None:
        """`children` is filled where it is asked for, if it is empty."""
        self._table = table
        self._children = children
        self.touched: set[Key] = set()
        self.pressed: set[Key] = set()
        """Those that differ in nothing but pressure of which there is nothing to say."""
        self.gone = (
            last.current.keys() - table.current.keys() if table.changed is None else set[Key]()
        )
        above: set[Key] = set(self.gone)
        below: set[Key] = set(self.gone)
        for key in self._candidates(last):
            now, before = table.current[key], last.current.get(key)
            depth, was = table.depths.get(key), last.depths.get(key)
            if before is now and depth is was:
                continue
            if before is None or before.inode != now.inode:
                above.add(key)
                below.add(key)
            elif depth == was and _only_pressed(before, now):
                self.pressed.add(key)
            else:
                self.touched.add(key)
                if _kills(before) != _kills(now):
                    above.add(key)
                if _bounds(before, was) != _bounds(now, depth):
                    below.add(key)
        self.killed = bool(above)
        """Whether kills may be others, or of others."""
        self.rebound = self._downwards(below)
        """Those whose limits may be others."""
        for one in (last, table):
            below |= one.past.grown.keys()
            above |= one.past.grown.keys()
            if one.held:
                below |= {key for key, ratio in one.throttled.items() if ratio >= THROTTLED}
        self._upwards(above)
        self.touched |= self._downwards(below)
        self.pressed -= self.touched

    def _candidates(self, last: Table) -> Iterable[Key]:
        """Return those that have to be looked at."""
        table = self._table
        deeper = other_values(last.depths, table.depths)
        if table.changed is None or deeper is None:
            return table.current
        return {*table.changed, *(key for key in deeper if key in table.current)}

    def _upwards(self, keys: Iterable[Key]) -> None:
        for hierarchy, path in keys:
            at = path
            self.touched.add((hierarchy, at))
            while at not in {"", "/"}:
                at = at.rpartition("/")[0] or "/"
                self.touched.add((hierarchy, at))

    def _downwards(self, keys: Collection[Key]) -> set[Key]:
        """Return them and all below them."""
        if keys and not self._children:
            self._fill()
        pending = list(keys)
        seen = set(pending)
        while pending:
            for child in self._children.get(pending.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    pending.append(child)
        return seen

    def _fill(self) -> None:
        for key in self._table.current:
            hierarchy, path = at = key
            # One between two others may be lacking.
            while path != "/":
                path = path.rpartition("/")[0] or "/"
                known = self._children.setdefault((hierarchy, path), set())
                if at in known:
                    break
                known.add(at)
                at = (hierarchy, path)


def _only_pressed(before: raw.Cgroup, now: raw.Cgroup) -> bool:
    if not before.pressure or not now.pressure:
        return False
    for field in now.__struct_fields__:
        if field != "pressure":
            one, other = getattr(before, field), getattr(now, field)
            if one is not other and one != other:
                return False
    return tuple(verdicts.pressure((before,))) == tuple(verdicts.pressure((now,)))


def _kills(group: raw.Cgroup) -> int | None:
    return group.memory.oom_kills if group.memory is not None else None


def _bounds(group: raw.Cgroup, depth: raw.Depth | None) -> tuple[object, ...]:
    """Return what of a cgroup holds for those below it too."""
    told = group.memory.hierarchical_limit_bytes if group.memory is not None else None
    if depth is None:
        return own_limits(group), told
    return (
        own_limits(group),
        told,
        depth.memory_min_bytes,
        depth.memory_low_bytes,
        {size: one.limit_bytes for size, one in depth.hugetlb.items()},
        depth.io_limits,
        depth.cpuset,
    )
