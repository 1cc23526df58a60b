"""Where each container is in the cgroup hierarchies, and which of these cgroups are its own alone."""

import posixpath
from collections.abc import Iterable, Mapping
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
    by_path: dict[str, dict[str, set[int]]] = {}
    for process in joined.world.processes.values():
        for entry in process.cgroups:
            paths = by_path.setdefault(hierarchy(entry), {})
            paths.setdefault(entry.path, set()).add(process.pid)
    inside = with_inner(joined.groups)
    return {
        entity.id: _placement(joined, entity.group, by_path, inside[id(entity.group)])
        for entity in joined.entities
        if entity.group is not None
    }


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


def _placement(
    joined: Joined,
    group: Group,
    by_path: Mapping[str, Mapping[str, set[int]]],
    inside: set[int],
) -> Placement:
    paths: dict[str, str] = {}
    own: set[str] = set()
    members = [joined.world.processes[pid] for pid in group.pids if pid in joined.world.processes]
    for entry in group.init.cgroups:
        name = hierarchy(entry)
        path = cgroup_names.own_path(entry.path, group.label)
        # Seen from within, everything that is mounted is the container's own.
        if group.kind == "self" or path != entry.path or _named(path, group):
            own.add(name)
        else:
            common = _common(name, members)
            path = common if common not in {"", "/"} else entry.path
            if path != "/" and _exclusive(path, by_path.get(name, {}), inside):
                own.add(name)
            else:
                path = entry.path
        paths[name] = path
    return Placement(paths, frozenset(own))


def _named(path: str, group: Group) -> bool:
    label = cgroup_names.parse(path)
    return label is not None and group.label is not None and label.id == group.label.id


def _common(name: str, members: Iterable[Process]) -> str:
    """Return the deepest cgroup that all of a container's processes are in or below."""
    paths = [
        entry.path for process in members for entry in process.cgroups if hierarchy(entry) == name
    ]
    return posixpath.commonpath(paths) if paths else ""


def _exclusive(path: str, paths: Mapping[str, set[int]], inside: set[int]) -> bool:
    return all(
        pids <= inside
        for other, pids in paths.items()
        if other == path or other.startswith(f"{path}/")
    )
