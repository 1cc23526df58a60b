"""What cgroups' counters of trouble grew by over the last minute, from the samples of that time."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Depth
from inspector.sample import Sample, differing, other_values

SECONDS: Final = 60.0
"""How far back it looks."""
_APART: Final = 5.0
"""Seconds between two samples whose counters are kept: twelve of them are a minute."""
_REMOVED: Final = 200
"""So many removed cgroups are remembered, the newest."""

Identity = tuple[str, str, int]
"""Hierarchy, path, inode."""


class Counters(NamedTuple):
    """The running totals of one cgroup that tell of trouble."""

    periods: int = 0
    throttled: int = 0
    kills: int = 0
    hits: int = 0
    """How often a limit of memory was hit."""
    refused: int = 0
    """Forks that pids.max refused; 0 where `depth` was not asked for."""


class Past(NamedTuple):
    """How much they grew since the oldest sample of the last minute; only those that did."""

    seconds: float
    grown: Mapping[tuple[str, str], Counters]
    removed: Mapping[tuple[str, str], tuple[str, ...]]
    """Cgroups that were removed in that time, by hierarchy and the one right above, newest last."""
    unaccounted: int = 0
    """Kills for want of memory on the host that no cgroup's count has: version 1 forgets those of
    a cgroup that is removed."""


NOTHING: Final = Past(0.0, {}, {})
_ZERO: Final = Counters()


class _Kept(NamedTuple):
    at: float
    counters: Mapping[Identity, Counters]
    host_kills: int | None


class Window:
    """Takes in sample after sample; not for two threads at once."""

    def __init__(self, seconds: float = SECONDS, apart: float = _APART) -> None:
        """Look back so many seconds."""
        self._seconds = seconds
        self._apart = apart
        self._kept: deque[_Kept] = deque()
        self._listed: Sequence[Cgroup] = ()
        self._depths: Mapping[tuple[str, str], Depth] = {}
        self._places: dict[tuple[str, str], Cgroup] = {}
        """Those listed, by hierarchy and path."""
        self._found: dict[Identity, Counters] = {}
        self._removed: deque[tuple[float, str, str]] = deque(maxlen=_REMOVED)

    def add(self, sample: Sample) -> Past:
        """Return what became of the counters since the oldest sample that is kept; none: `NOTHING`."""
        reading = sample.get(cgroups.KEY)
        if reading is None:
            return NOTHING
        at = sample.moments[cgroups.KEY.name]
        depth = sample.get(cgroups.DEPTH)
        now = self._counters(reading, depth.depths if depth is not None else {})
        self._remember_removed(reading, at)
        while self._kept and at - self._kept[0].at > self._seconds + self._apart / 2:
            self._kept.popleft()
        past = self._past(now, at, reading.host_oom_kills) if self._kept else NOTHING
        if not self._kept or at - self._kept[-1].at >= self._apart:
            self._kept.append(_Kept(at, now, reading.host_oom_kills))
        return past

    def _counters(
        self, reading: CgroupsReading, depths: Mapping[tuple[str, str], Depth]
    ) -> dict[Identity, Counters]:
        """Return those that are not all 0; a record that is the one of before is not looked at again."""
        changed = self._changed(reading.cgroups, depths)
        if changed is None:
            self._found = {}
            self._places = {(one.hierarchy, one.path): one for one in reading.cgroups}
            changed = self._places
        else:
            self._found = dict(self._found)  # the one of before may be kept
            self._places.update(changed)
        for key, group in changed.items():
            counters = _counters(group, depths.get(key))
            if counters is not _ZERO:
                self._found[(*key, group.inode)] = counters
            else:
                self._found.pop((*key, group.inode), None)
        self._listed, self._depths = reading.cgroups, depths
        return self._found

    def _changed(
        self, listed: Sequence[Cgroup], depths: Mapping[tuple[str, str], Depth]
    ) -> dict[tuple[str, str], Cgroup] | None:
        """Return those that are other records than before; None where not the same ones are there."""
        places, deeper = differing(self._listed, listed), other_values(self._depths, depths)
        if places is None or deeper is None or len(self._places) != len(listed):
            return None
        changed = {key: self._places[key] for key in deeper if key in self._places}
        for at in places:
            now, before = listed[at], self._listed[at]
            if (now.hierarchy, now.path, now.inode) != (
                before.hierarchy,
                before.path,
                before.inode,
            ):
                return None
            changed[now.hierarchy, now.path] = now
        return changed

    def _remember_removed(self, reading: CgroupsReading, at: float) -> None:
        names = {one.mountpoint: _name(one) for one in reading.hierarchies}
        for change in reading.changes:
            if change.kind == "removed" and change.mountpoint in names:
                self._removed.append((at, names[change.mountpoint], change.path))
        while self._removed and at - self._removed[0][0] > self._seconds:
            self._removed.popleft()

    def _past(self, now: Mapping[Identity, Counters], at: float, host_kills: int | None) -> Past:
        then = self._kept[0]
        grown = dict(_grown(then.counters, now))
        removed: dict[tuple[str, str], list[str]] = {}
        for _, hierarchy, path in self._removed:
            above = path.rpartition("/")[0] or "/"
            removed.setdefault((hierarchy, above), []).append(path)
        unaccounted = 0
        # Version 2 counts a kill in every cgroup above too: there, none is ever lost.
        forgets = any("memory" in hierarchy.split(",") for hierarchy, _ in removed)
        if forgets and host_kills is not None and then.host_kills is not None:
            seen = sum(one.kills for one in grown.values())
            unaccounted = max(0, host_kills - then.host_kills - seen)
        return Past(
            seconds=at - then.at,
            grown=grown,
            removed={key: tuple(dict.fromkeys(paths)) for key, paths in removed.items()},
            unaccounted=unaccounted,
        )


def _grown(
    before: Mapping[Identity, Counters], now: Mapping[Identity, Counters]
) -> Iterator[tuple[tuple[str, str], Counters]]:
    """Yield what grew. A cgroup that was not there before has counted all of it since."""
    for key, counters in now.items():
        then = before.get(key, _ZERO)
        if then is counters:
            continue
        values = [max(0, new - old) for new, old in zip(counters, then, strict=True)]
        if any(values):
            yield key[:2], Counters(*values)


def _counters(group: Cgroup, depth: Depth | None) -> Counters:
    cpu, memory = group.cpu, group.memory
    events: Mapping[str, int] = memory.events if memory is not None else {}
    found = Counters(
        periods=(cpu.periods if cpu is not None else None) or 0,
        throttled=(cpu.throttled_periods if cpu is not None else None) or 0,
        kills=(memory.oom_kills if memory is not None else None) or 0,
        hits=events.get("failcnt" if group.hierarchy else "max", 0),
        refused=((depth.pids_events if depth is not None else None) or {}).get("max", 0),
    )
    return found if any(found) else _ZERO


def _name(hierarchy: cgroups.Hierarchy) -> str:
    return "" if hierarchy.version == 2 else ",".join(hierarchy.controllers)
