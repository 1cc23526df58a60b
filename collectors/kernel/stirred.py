"""Tells in which cgroups a process ran, began, moved or ended: elsewhere few numbers can have changed."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from collectors.formats.pid_cgroup import CgroupEntry
from collectors.table import Entry, Table

_PROCESSES = "processes"
"""Under which the collector of processes keeps what it read."""

_DEAD = frozenset("ZX")
"""States of a process that no cgroup lists as its own any more, though it is told where it was."""
K = TypeVar("K")
Name = tuple[frozenset[str], str]
"""A cgroup: its hierarchy's controllers, none of version 2, and its path."""
_Place = tuple[CgroupEntry, ...]


class Activity:
    """Where something happened between two walks."""

    def __init__(self, stirred: Iterable[Name], members: Mapping[Name, int]) -> None:
        """Take the cgroups themselves; those above them are stirred too."""
        self.stirred: set[Name] = set()
        self._members = members
        for hierarchy, path in stirred:
            above = path
            while (hierarchy, above) not in self.stirred:
                self.stirred.add((hierarchy, above))
                above = above.rpartition("/")[0] or "/"

    def members(self, cgroup: Name) -> int:
        """Return how many processes are known to be in it itself."""
        return self._members.get(cgroup, 0)


class Stirred:
    """Keeps where each process is, over the walks of a table; the collector of processes reads that."""

    def __init__(self, table: Table) -> None:
        """Know nothing yet."""
        self._table = table
        self._walk = 0
        self._where: dict[int, _Place] = {}
        self._members: dict[Name, int] = {}
        self._names: dict[int, tuple[_Place, tuple[Name, ...]]] = {}
        """Of each set of cgroups, by its identity: many processes share one."""
        self._many: dict[int, int] = {}
        """How many do."""

    def take(self) -> Activity | None:
        """Return what happened since the last time; None where anything may have."""
        found = self._table.stirred(self._walk)
        if found is None:
            self._walk = self._table.walk
            self._begin()
            return None
        entries, over = found
        places: dict[int, _Place] = {}
        for entry in entries:
            place = _place(entry)
            if place is None:
                return None  # and it is asked for again the next time
            before = self._where.get(entry.pid, ())
            places[id(before)], places[id(place)] = before, place
            if place is not before:
                self._move(entry.pid, before, place)
        for pid in over:
            if not self._table.has(
                pid
            ):  # otherwise another process has its number, and is among those
                before = self._where.get(pid, ())
                places[id(before)] = before
                self._move(pid, before, ())
        self._walk = self._table.walk
        stirred = {name for place in places.values() for name in self._of(place)}
        for unused in self._names.keys() - self._many.keys():
            self._names.pop(unused, None)
        return Activity(stirred, self._members)

    def _begin(self) -> None:
        self._where, self._members, self._names, self._many = {}, {}, {}, {}
        for entry in self._table.everyone():
            place = _place(entry)
            if place:
                self._move(entry.pid, (), place)

    def _move(self, pid: int, before: _Place, after: _Place) -> None:
        for name in self._of(before):
            _count(self._members, name, -1)
        for name in self._of(after):
            _count(self._members, name, 1)
        if before:
            _count(self._many, id(before), -1)
        if after:
            _count(self._many, id(after), 1)
        if after:
            self._where[pid] = after
        else:
            self._where.pop(pid, None)

    def _of(self, place: _Place) -> tuple[Name, ...]:
        known = self._names.get(id(place))
        if known is None:
            names = tuple((frozenset(one.controllers), one.path) for one in place)
            known = self._names[id(place)] = (place, names)
        return known[1]


def _count(table: dict[K, int], key: K, by: int) -> None:
    """Add to a count; what comes to none is left out."""
    now = table.get(key, 0) + by
    if now:
        table[key] = now
    else:
        del table[key]


def _place(entry: Entry) -> _Place | None:
    """Return a process's cgroups: empty where it went away; None where they are not known."""
    seen: Any = entry.kept.get(_PROCESSES)
    if seen is None:
        return () if entry.ended else None
    if seen.walk < entry.version or seen.walk < entry.moved:
        return () if entry.ended else None  # it was not read in this walk
    if seen.process is None:
        return None if seen.problems else ()
    if seen.process.state in _DEAD:
        return ()
    place: _Place = seen.process.cgroups
    return place
