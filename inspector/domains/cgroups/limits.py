"""Cgroups by path, with those above them: which limit binds, and what was counted before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Depth, Hierarchy
from inspector.domains.cgroups import window
from inspector.domains.cgroups.model import Pressure
from inspector.domains.cgroups.window import Counters, Past
from inspector.sample import Sample, differing, elapsed

Key = tuple[str, str]
"""Hierarchy and path."""
Ratios = Mapping[Key, float]
THROTTLED: Final = 0.05
"""The share of throttled periods from which a sentence is said."""


class Limit(NamedTuple):
    """A limit and the cgroup that has it."""

    value: float
    path: str


class Limits(NamedTuple):
    """What binds: the smallest of a cgroup's own and its ancestors', the nearest of equal ones."""

    cores: Limit | None
    memory: Limit | None
    pids: Limit | None
    high: Limit | None = None
    """memory.high."""
    swap: Limit | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Every cgroup by hierarchy and path, and as the sample before had it."""

    current: Mapping[Key, Cgroup]
    before: Mapping[Key, Cgroup]
    """Those of the sample before: one that was made anew since, with another inode, continues nothing."""
    seconds: float | None
    roots: Mapping[str, str]
    """By hierarchy: the path that is mounted, which is not `/` within a container."""
    device_names: Mapping[str, str]
    depths: Mapping[Key, Depth] = field(default_factory=dict[Key, Depth])
    """What cgroups say besides, where it was asked for."""
    asked: bool = False
    """Whether it was."""
    throttled: Ratios = field(default_factory=dict[Key, float])
    """Throttled periods over all since the sample before, 0 to 1."""
    bounds: dict[Key, object] = field(default_factory=dict[Key, object])
    """What binds besides, as `bounds` has found it."""
    kills: list[Mapping[Key, int]] = field(default_factory=list[Mapping[Key, int]])
    """As `kills` has counted them, if it has."""
    made_from: dict[Key, tuple[object, ...] | None] = field(
        default_factory=dict[Key, tuple[object, ...] | None]
    )
    """As `still` has found it."""
    held: bool = False
    """Whether any is throttled in `THROTTLED` of its periods or more."""
    known_limits: dict[Key, Limits] = field(default_factory=dict[Key, Limits])
    """As `limits` has found them."""
    standing: dict[Key, Cgroup] = field(default_factory=dict[Key, Cgroup])
    """An earlier record of a cgroup, from which the newest differs in pressure alone."""
    pressures: dict[Key, Mapping[str, Pressure] | None] = field(
        default_factory=dict[Key, Mapping[str, Pressure] | None]
    )
    """As `derive.pressure` has found it."""
    listed: tuple[Cgroup, ...] = ()
    """What `current` is made from."""
    earlier: tuple[Cgroup, ...] = ()
    """What `before` is made from."""
    changed: Sequence[Key] | None = None
    """Which are other records than in the sample before, where the same are there; else None."""
    children: dict[Key, list[Key]] = field(default_factory=dict[Key, list[Key]])
    """Filled where it is asked for."""

    past: Past = window.NOTHING
    """What grew in the last minute."""

    def lately(self, cgroup: Cgroup) -> Counters | None:
        """Return what grew of a cgroup in the last minute; None: nothing, or nothing was kept."""
        return self.past.grown.get((cgroup.hierarchy, cgroup.path))

    def depth(self, cgroup: Cgroup) -> Depth | None:
        """Return what a cgroup says besides; None where it was not asked for."""
        return self.depths.get((cgroup.hierarchy, cgroup.path))

    def previous(self, cgroup: Cgroup) -> Cgroup | None:
        """Return the same cgroup in the sample before."""
        found = self.before.get((cgroup.hierarchy, cgroup.path))
        return found if found is not None and found.inode == cgroup.inode else None

    def find(self, hierarchy: str, path: str) -> Cgroup | None:
        """Return the cgroup of a line of /proc/PID/cgroup."""
        return self.current.get((hierarchy, self.local(hierarchy, path)))

    def local(self, hierarchy: str, path: str) -> str:
        """Return a path of /proc/PID/cgroup as one below what is mounted."""
        root = self.roots.get(hierarchy, "/")
        if root != "/" and (path == root or path.startswith(f"{root}/")):
            return path[len(root) :] or "/"
        return path

    def chain(self, cgroup: Cgroup) -> Iterator[Cgroup]:
        """Yield a cgroup and those above it, the nearest first."""
        path = cgroup.path
        while True:
            above = self.current.get((cgroup.hierarchy, path))
            if above is not None:
                yield above
            if path == "/":
                return
            path = path.rpartition("/")[0] or "/"

    def limits(self, cgroups_of_one: Iterable[Cgroup]) -> Limits:
        """Return what binds a container (or a cgroup alone), over all its hierarchies."""
        found = NO_LIMITS
        for own in cgroups_of_one:
            found = _both(found, self.limits_of(own))
        return found

    def limits_of(self, cgroup: Cgroup) -> Limits:
        """Return what binds one cgroup: found once for each, from what binds the one above."""
        known = self.known_limits.get((cgroup.hierarchy, cgroup.path))
        if known is not None:
            return known
        found = NO_LIMITS
        # From the top: a tree may be deeper than functions may call themselves.
        for one in reversed(tuple(self.chain(cgroup))):
            key = (one.hierarchy, one.path)
            known = self.known_limits.get(key)
            if known is None:
                own = own_limits(one)
                known = self.known_limits[key] = _counted_above(one, _both(own, found), own)
            found = known
        return found

    def above(self, cgroup: Cgroup) -> Cgroup | None:
        """Return the nearest cgroup above one that is there; None above the root."""
        return next(islice(self.chain(cgroup), 1, 2), None) if cgroup.path != "/" else None

    def recreated(self, cgroup: Cgroup) -> bool:
        """Return whether the sample before had another cgroup at its path."""
        found = self.before.get((cgroup.hierarchy, cgroup.path))
        return found is not None and found.inode != cgroup.inode

    def below(self, cgroup: Cgroup) -> tuple[Cgroup, ...]:
        """Return the cgroups right below one."""
        if not self.children:
            for hierarchy, path in self.current:
                if path != "/":
                    above = path.rpartition("/")[0] or "/"
                    self.children.setdefault((hierarchy, above), []).append((hierarchy, path))
        keys = self.children.get((cgroup.hierarchy, cgroup.path), ())
        return tuple([self.current[key] for key in keys])


NO_LIMITS: Final = Limits(None, None, None)


def own_limits(cgroup: Cgroup) -> Limits:
    """Return the limits of a cgroup itself."""
    cpu, memory, pids = cgroup.cpu, cgroup.memory, cgroup.pids
    path = cgroup.path

    cores = None
    if cpu is not None and cpu.quota_usec is not None and cpu.period_usec:
        cores = Limit(cpu.quota_usec / cpu.period_usec, path)
    return Limits(
        cores,
        _limit(memory.limit_bytes, path) if memory else None,
        _limit(pids.limit, path) if pids else None,
        _limit(memory.high_bytes, path) if memory else None,
        _limit(memory.swap_limit_bytes, path) if memory else None,
    )


def _both(one: Limits, other: Limits) -> Limits:
    """Return the smaller of each; of equal ones the first's, which is the nearer."""
    if other == NO_LIMITS:
        return one
    return one if one == other else Limits(*map(smaller, one, other))


def _counted_above(cgroup: Cgroup, both: Limits, own: Limits) -> Limits:
    """Return what binds without a limit above that does not count what is below.

    Until Linux 5.11 a cgroup of version 1 could be so; `hierarchical_memory_limit` of its
    memory.stat tells the smallest of those that count it.
    """
    told = cgroup.memory.hierarchical_limit_bytes if cgroup.memory is not None else None
    if both.memory is None or both.memory is own.memory or not cgroup.hierarchy:
        return both
    return (
        both if told is not None and told <= both.memory.value else both._replace(memory=own.memory)
    )


def _limit(value: float | None, path: str) -> Limit | None:
    return None if value is None else Limit(value, path)


def smaller(one: Limit | None, other: Limit | None) -> Limit | None:
    """Return the smaller one; of equal ones the first."""
    if one is None or other is None:
        return one or other
    return one if one.value <= other.value else other


def _throttled(now: Cgroup, before: Mapping[Key, Cgroup]) -> float | None:
    """Return throttled periods over all since the sample before; None without a quota, which has periods."""
    cpu, earlier = now.cpu, before.get((now.hierarchy, now.path))
    if cpu is None or cpu.periods is None or cpu.throttled_periods is None:
        return None
    was = earlier.cpu if earlier is not None and earlier.inode == now.inode else None
    if was is None or was.periods is None or was.throttled_periods is None:
        return None
    periods, held = cpu.periods - was.periods, cpu.throttled_periods - was.throttled_periods
    if periods < 0 or held < 0:
        return None
    return min(1.0, held / periods) if periods else 0.0


def table(
    previous: Sample | None,
    current: Sample,
    past: Past = window.NOTHING,
    last: Table | None = None,
) -> Table:
    """Index the cgroups of two samples; `last` may be what this made of the sample before."""
    reading = current.get(cgroups.KEY)
    depth = current.get(cgroups.DEPTH)
    earlier = previous.get(cgroups.KEY) if previous is not None else None
    listed = reading.cgroups if reading else ()
    earlier_listed = earlier.cgroups if earlier else ()
    if last is not None and last.listed is not earlier_listed:
        last = None
    before = last.current if last is not None else _by_key(earlier_listed)
    changed = _changed(last, listed) if last is not None else None
    ratios: dict[Key, float] = {}
    now = before
    if last is None or changed is None:
        now = _by_key(listed)
    elif changed:
        now = {**before, **{(one.hierarchy, one.path): one for one in changed.values()}}
    weighed = now
    if last is not None and changed is not None and last.changed is not None:
        # A ratio is of the growth between two: one that has changed before, and no more, has another.
        weighed = {**changed, **{key: now[key] for key in last.changed}}
        ratios.update(last.throttled)
    for key, one in weighed.items():
        ratio = _throttled(one, before)
        if ratio is not None:
            ratios[key] = ratio
        else:
            ratios.pop(key, None)
    return Table(
        current=now,
        before=before,
        seconds=elapsed(previous, current, cgroups.KEY),
        roots={_name(one): one.root for one in _hierarchies(reading)},
        device_names=reading.device_names if reading else {},
        depths=depth.depths if depth else {},
        asked=depth is not None,
        throttled=ratios,
        past=past,
        held=max(ratios.values(), default=0.0) >= THROTTLED,
        listed=listed,
        earlier=earlier_listed,
        changed=None if changed is None else tuple(changed),
        children={} if last is None or changed is None else last.children,
    )


def _by_key(listed: Iterable[Cgroup]) -> dict[Key, Cgroup]:
    return {(group.hierarchy, group.path): group for group in listed}


def _changed(last: Table, listed: Sequence[Cgroup]) -> dict[Key, Cgroup] | None:
    """Return the records that are other ones now; None where not the same cgroups are there, in order."""
    places = differing(last.listed, listed)
    if places is None or len(last.current) != len(listed):
        return None
    changed: dict[Key, Cgroup] = {}
    for at in places:
        now, before = listed[at], last.listed[at]
        if (now.hierarchy, now.path) != (before.hierarchy, before.path):
            return None
        changed[now.hierarchy, now.path] = now
    return changed


def _hierarchies(reading: CgroupsReading | None) -> tuple[Hierarchy, ...]:
    return reading.hierarchies if reading else ()


def _name(hierarchy: Hierarchy) -> str:
    return "" if hierarchy.version == 2 else ",".join(hierarchy.controllers)
