"""What cgroups' own counters say has happened: memory.events, pids.events, cgroup.events.

Version 2 counts in a cgroup and in all above it: an event is told where it happened, which is where
the count grew by more than in the cgroups below. Of that, what grew in none of those that are there
happened in one that is gone: so a kill in a cgroup that was removed with its container is seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Depth
from inspector.domains.containers.model import Container
from inspector.domains.events import owners
from inspector.sample import Sample, differing, other_values

_TOPICS: Final = {
    "low": "memory-low",
    "high": "memory-high",
    "max": "memory-max",
    "failcnt": "memory-max",
    "oom_kill": "oom",
    "pids_max": "pids-max",
}
"""By the kernel's names; `failcnt` is version 1's word for `max`."""
_QUIET_SECONDS: Final = 10.0
"""A cgroup at its limit is so all the time: it is told once in so many seconds, with all counts."""
_SHOWN: Final = 3

Key = tuple[str, str]
"""Hierarchy and path."""
Found = tuple[str, str | None, dict[str, object]]
"""Topic, container, body."""


class _Grown(NamedTuple):
    key: Key
    name: str
    by: int


class Counters:
    """Compares each reading of the cgroups with the one before."""

    def __init__(self, known: owners.Known | None = None) -> None:
        """Know none yet; what is known of owners may be shared."""
        self._known = known or owners.Known()
        self._before: Mapping[Key, Cgroup] = {}
        self._reading: CgroupsReading | None = None
        self._depths: Mapping[Key, Depth] = {}
        self._pids: Mapping[Key, int] = {}
        self._owners: Mapping[str, str] = {}
        self._told: dict[tuple[Key, str], tuple[datetime, int]] = {}

    def advance(self, sample: Sample, containers: Iterable[Container]) -> list[Found]:
        """Return what happened since the sample before, the first time nothing."""
        reading = sample.get(cgroups.KEY)
        if reading is None or not reading.cgroups:
            return []
        after = self._known.by_path(containers)
        changed = self._changed(reading)
        now = {**self._before, **changed} if changed is not None else _by_key(reading.cgroups)
        others = now if changed is None else changed
        pids = self._refused(sample)
        found: list[Found] = []
        if self._reading is not None:
            refused = _more(self._pids, pids) if pids is not self._pids else {}
            grown = (*self._memory(others), *_where(refused))
            found = [*self._states(others, after), *self._tell(grown, now, sample, after)]
        self._before, self._reading, self._pids, self._owners = now, reading, pids, after
        return found

    def _changed(self, reading: CgroupsReading) -> Mapping[Key, Cgroup] | None:
        """Return those that are other records than before; None where not the same ones are there."""
        before = self._reading.cgroups if self._reading is not None else ()
        places = differing(before, reading.cgroups)
        if places is None or len(self._before) != len(before):
            return None
        keys = ((one.hierarchy, one.path) for one in (before[at] for at in places))
        changed = _by_key(reading.cgroups[at] for at in places)
        return changed if all(key in changed for key in keys) else None

    def _refused(self, sample: Sample) -> Mapping[Key, int]:
        """Return how often forks were refused for pids.max, where that was read."""
        reading = sample.get(cgroups.DEPTH)
        depths: Mapping[Key, Depth] = reading.depths if reading is not None else {}
        others = other_values(self._depths, depths)
        self._depths = depths
        if others is None:
            return _refused(depths, depths)
        if not others:
            return self._pids
        kept = {key: count for key, count in self._pids.items() if key not in others}
        return kept | _refused(depths, others)

    def _memory(self, others: Mapping[Key, Cgroup]) -> Iterator[_Grown]:
        """Yield what grew, where it happened."""
        grown: dict[Key, dict[str, int]] = {}
        for key, one in others.items():
            before = self._before.get(key)
            if before is one or one.memory is None:
                continue
            new = _new(before, one)
            if new:
                grown[key] = new
        yield from _where(grown)

    def _tell(
        self,
        grown: Iterable[_Grown],
        now: Mapping[Key, Cgroup],
        sample: Sample,
        after: Mapping[str, str],
    ) -> Iterator[Found]:
        for key, name, count in grown:
            path, topic = key[1], _TOPICS[name]
            owner = owners.nearest(after, path)
            body: dict[str, object] = {"path": path, "count": count}
            if topic == "oom":
                if owner is not None and (key[0] == "" or after.get(path) == owner):
                    continue  # the container's own count tells
                gone = sorted(set(self._gone(now, key, sample)))
                body = {"path": path, "kills": count}
                if gone:
                    body["gone"] = gone[:_SHOWN]
                were = {owners.of_path(self._owners, one) for one in gone}
                owner = owner or (were.pop() if len(were) == 1 else None)
            else:
                waiting = self._often(key, topic, sample.taken_at, count)
                if waiting is None:
                    continue
                body["count"] = waiting
            yield topic, owner, body

    def _often(self, key: Key, topic: str, now: datetime, count: int) -> int | None:
        """Return how much to tell of now; None: not yet."""
        since, waiting = self._told.get((key, topic), (None, 0))
        if since is not None and (now - since).total_seconds() < _QUIET_SECONDS:
            self._told[key, topic] = (since, waiting + count)
            return None
        self._told[key, topic] = (now, 0)
        if len(self._told) > 4096:
            self._told = {
                one: kept
                for one, kept in self._told.items()
                if (now - kept[0]).total_seconds() < _QUIET_SECONDS
            }
        return waiting + count

    def _gone(self, now: Mapping[Key, Cgroup], key: Key, sample: Sample) -> Iterator[str]:
        """Yield the cgroups below that were there, or were made and removed meanwhile."""
        below = f"{key[1].rstrip('/')}/"
        for hierarchy, path in self._before:
            if hierarchy == key[0] and path.startswith(below) and (hierarchy, path) not in now:
                yield path
        reading = sample.get(cgroups.KEY)
        for change in reading.changes if reading is not None else ():
            if change.kind == "removed" and change.path.startswith(below):
                yield change.path

    def _states(self, others: Mapping[Key, Cgroup], after: Mapping[str, str]) -> Iterator[Found]:
        """Yield what version 2's cgroup.events tells: of containers, their own events do."""
        for key, one in others.items():
            before = self._before.get(key)
            if before is None or before is one or key[0] or before.inode != one.inode:
                continue
            owner = owners.nearest(after, one.path)
            if None not in {before.populated, one.populated} and before.populated != one.populated:
                topic = "cgroup-populated" if one.populated else "cgroup-emptied"
                yield topic, owner, {"path": one.path}
            changed = None not in {before.frozen, one.frozen} and before.frozen != one.frozen
            if changed and one.path not in after:
                topic = "cgroup-frozen" if one.frozen else "cgroup-thawed"
                yield topic, owner, {"path": one.path}


def _new(before: Cgroup | None, one: Cgroup) -> dict[str, int]:
    """Return by how much each count grew; of a new cgroup all, of one made anew all too."""
    if one.memory is None:
        return {}
    old: Mapping[str, int] = {}
    if before is not None and before.inode == one.inode:
        if before.memory is None or before.memory.events is one.memory.events:
            return {}
        old = before.memory.events
    return {
        name: value - old.get(name, 0)
        for name, value in one.memory.events.items()
        if name in _TOPICS and value > old.get(name, 0)
    }


def _by_key(listed: Iterable[Cgroup]) -> dict[Key, Cgroup]:
    return {(one.hierarchy, one.path): one for one in listed}


def _refused(depths: Mapping[Key, Depth], keys: Iterable[Key]) -> dict[Key, int]:
    return {
        key: events.get("max", 0) for key in keys if (events := depths[key].pids_events) is not None
    }


def _more(before: Mapping[Key, int], now: Mapping[Key, int]) -> dict[Key, dict[str, int]]:
    return {
        key: {"pids_max": count - before[key]}
        for key, count in now.items()
        if key in before and count > before[key]
    }


def _where(grown: Mapping[Key, Mapping[str, int]]) -> Iterator[_Grown]:
    """Yield what grew by more than it did in the cgroups below."""
    below: dict[tuple[Key, str], int] = {}
    for (hierarchy, path), new in grown.items():
        for name, count in new.items():
            if hierarchy == "":
                above = ((hierarchy, _above(path)), name)
                below[above] = below.get(above, 0) + count
    for key, new in grown.items():
        for name, count in new.items():
            rest = count - below.get((key, name), 0)
            if rest > 0:
                yield _Grown(key, name, rest)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"
