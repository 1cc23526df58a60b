"""Where each container is in the cgroup hierarchies, and which of these cgroups are its own alone."""

import posixpath
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from collectors.kernel.processes import CgroupEntry, Process
from inspector.discovery import cgroup_names
from inspector.discovery.groups import Group, with_inner
from inspector.join import Joined


@dataclass(frozen=True, slots=True)
class Placement:
    """A container's cgroups by hierarchy: joined controllers, `` for version 2."""

    paths: Mapping[str, str]
    own: frozenset[str]
    """Hierarchies in which no process of another is there or below: what is counted is its own."""


def placements(joined: Joined) -> dict[str, Placement]:
    """Return each running container's cgroups by its id."""
    paths = _Paths(joined.structure.world.processes.values())
    inside = with_inner(joined.groups)
    return {
        entity.id: _placement(entity.group, paths, inside[id(entity.group)])
        for entity in joined.entities
        if entity.group is not None
    }


class _Paths:
    """Every process's cgroups. Most share a few sets of them, which are looked at once."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self._of: dict[int, tuple[CgroupEntry, ...]] = {}
        self._named: dict[int, Mapping[str, str]] = {}
        """By the `id()` of a set of entries, which the processes keep."""
        pids: dict[int, list[int]] = {}
        for process in processes:
            entries = process.cgroups
            self._of[process.pid] = entries
            members = pids.get(id(entries))
            if members is None:
                pids[id(entries)] = [process.pid]
                self._named[id(entries)] = {hierarchy(entry): entry.path for entry in entries}
            else:
                members.append(process.pid)
        self._pids: dict[str, dict[str, set[int]]] = {}
        for same, members in pids.items():
            for name, path in self._named[same].items():
                self._pids.setdefault(name, {}).setdefault(path, set()).update(members)
        self._sorted = {name: sorted(paths) for name, paths in self._pids.items()}

    def sets(self, pids: Iterable[int]) -> Collection[int]:
        """Return the different sets of cgroups that these processes are in."""
        return {id(self._of[pid]) for pid in pids if pid in self._of}

    def common(self, name: str, sets: Iterable[int]) -> str:
        """Return the deepest cgroup of a hierarchy that all of these sets are in or below."""
        found = {path for one in sets if (path := self._named[one].get(name)) is not None}
        if len(found) == 1:
            return found.pop()
        return posixpath.commonpath(found) if found else ""

    def exclusive(self, name: str, path: str, inside: set[int]) -> bool:
        """Return whether every process that is there or below is one of `inside`."""
        paths = self._pids.get(name, {})
        if not paths.get(path, inside) <= inside:
            return False
        listed = self._sorted.get(name, [])
        # Everything below begins with the path and a slash, which "0" follows.
        below = listed[bisect_left(listed, f"{path}/") : bisect_left(listed, f"{path}0")]
        return all(paths[other] <= inside for other in below)


def hierarchy(entry: CgroupEntry) -> str:
    """Return the name of an entry's hierarchy: its controllers, `` for version 2."""
    return ",".join(entry.controllers)


def owners(found: Mapping[str, Placement]) -> dict[tuple[str, str], str]:
    """Return which container's own each (hierarchy, path) is; what is below one is too."""
    return {
        (name, place.paths[name]): container
        for container, place in found.items()
        for name in place.own
    }


def nearest(
    known: Mapping[tuple[str, str], str], keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return for each (hierarchy, path) the container whose own cgroup is there or nearest above."""
    result: dict[tuple[str, str], str] = {}
    for name, path in keys:
        above = path
        while above not in {"", "/"}:
            container = known.get((name, above))
            if container is not None:
                result[name, path] = container
                break
            above = above.rpartition("/")[0]
    return result


def _placement(group: Group, known: _Paths, inside: set[int]) -> Placement:
    paths: dict[str, str] = {}
    own: set[str] = set()
    sets = known.sets(group.pids)
    for entry in group.init.cgroups:
        name = hierarchy(entry)
        path = cgroup_names.own_path(entry.path, group.label)
        # Seen from within, everything that is mounted is the container's own.
        if group.kind == "self" or path != entry.path or _named(path, group):
            own.add(name)
        else:
            common = known.common(name, sets)
            path = common if common not in {"", "/"} else entry.path
            if path != "/" and known.exclusive(name, path, inside):
                own.add(name)
            else:
                path = entry.path
        paths[name] = path
    return Placement(paths, frozenset(own))


def _named(path: str, group: Group) -> bool:
    label = cgroup_names.parse(path)
    return label is not None and group.label is not None and label.id == group.label.id
