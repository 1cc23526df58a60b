"""Whose a cgroup is: the container that it was made for, or that it is below of."""

from collections.abc import Iterable, Mapping
from typing import Final

from inspector.discovery import cgroup_names
from inspector.domains.containers.model import Container

_DRAWN: Final = 12
"""Characters of an id that nobody gives to anything else: the shortest ids that are drawn at random."""


def by_path(containers: Iterable[Container]) -> dict[str, str]:
    """Return the container's id by the path of each cgroup that is its own.

    A container can be in a cgroup that others are in too, as what `unshare` makes: only one that has
    the container's name is its own.
    """
    return {
        path: one.id
        for one in containers
        for path in set(one.cgroups.values())
        if path != "/" and _named(path, one.id)
    }


class Known:
    """Tells `by_path` frame after frame: the same object where no container has other cgroups."""

    def __init__(self) -> None:
        self._made_from: list[tuple[str, Mapping[str, str]]] = []
        self._found: Mapping[str, str] = {}

    def by_path(self, containers: Iterable[Container]) -> Mapping[str, str]:
        """Return what `by_path` does."""
        containers = tuple(containers)
        made_from = [(one.id, one.cgroups) for one in containers]
        if made_from != self._made_from:
            self._made_from, self._found = made_from, by_path(containers)
        return self._found


def nearest(owners: Mapping[str, str], path: str) -> str | None:
    """Return whose own a cgroup is, or the one nearest above."""
    while path not in {"", "/"}:
        if path in owners:
            return owners[path]
        path = path.rpartition("/")[0]
    return None


def of_path(owners: Mapping[str, str], path: str) -> str | None:
    """Return the same; of a container that is not known, what the path itself says."""
    found = nearest(owners, path)
    if found is not None:
        return found
    label = cgroup_names.parse(path)
    return label.id if label is not None else None


def _named(path: str, container: str) -> bool:
    last = path.rpartition("/")[2]
    if last == container or last.endswith(f"-{container}.scope"):
        return True
    if len(container) >= _DRAWN and container in last:
        return True
    label = cgroup_names.parse(path)
    return label is not None and label.id == container
