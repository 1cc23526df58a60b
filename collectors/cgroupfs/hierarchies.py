"""Finds the mounted cgroup hierarchies, each once: mountinfo (cgroups(7))."""

from collections.abc import Iterable, Iterator

from collectors.cgroupfs.records import Hierarchy
from collectors.errors import CollectError, Missing, Problems
from collectors.formats import pid_cgroup
from collectors.root import Root
from runtime.errors import FormatError
from runtime.formats import mountinfo
from runtime.formats.mountinfo import MountInfo

_CONTROLLERS = frozenset(
    [
        "cpuset",
        "cpu",
        "cpuacct",
        "blkio",
        "memory",
        "devices",
        "freezer",
        "net_cls",
        "perf_event",
        "net_prio",
        "hugetlb",
        "pids",
        "rdma",
        "misc",
    ]
)
"""Those of every kernel so far: what tells them from the other mount options."""


def find(root: Root, problems: Problems) -> tuple[Hierarchy, ...]:
    """Return the hierarchies, version 1 first; raise `Missing` where there is none.

    One that is mounted several times is told of once: where the most of it is to be seen.
    """
    return Finder().find(root, problems)


class Finder:
    """Finds them again and again: looks at what is mounted where, when that is another table."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._last: tuple[bytes, tuple[Hierarchy, ...]] = (b"", ())

    def find(self, root: Root, problems: Problems) -> tuple[Hierarchy, ...]:
        """Return the hierarchies, as `find` does."""
        process = "proc/self" if root.live else "proc/1"
        name = f"{process}/mountinfo"
        data = root.read(name)
        table, found = self._last
        if table != data or not root.live:
            met = Problems()
            found = _found(root, process, data, met)
            for problem in met.all():
                problems.add(problem)
            self._last = (b"", ()) if met.all() else (data, found)
        if not found:
            raise Missing(f"/{name}", "parse", "no cgroup hierarchy is mounted")
        return tuple(_completed(root, hierarchy, problems) for hierarchy in found)


def _found(root: Root, process: str, data: bytes, problems: Problems) -> tuple[Hierarchy, ...]:
    try:
        mounts = mountinfo.parse(data)
    except FormatError as error:
        raise CollectError(f"/{process}/mountinfo", "parse", str(error)) from error
    known = _CONTROLLERS | _numbered(root, f"{process}/cgroup", problems)
    best: dict[tuple[int, tuple[str, ...]], Hierarchy] = {}
    for hierarchy in _seen(mounts, known):
        key = (hierarchy.version, hierarchy.controllers)
        if key in best and len(best[key].root) <= len(hierarchy.root):
            continue
        if _shown(root, hierarchy, problems):
            best[key] = hierarchy
    return tuple(sorted(best.values(), key=lambda hierarchy: hierarchy.version))


def _numbered(root: Root, name: str, problems: Problems) -> frozenset[str]:
    """Return the controllers of this kernel's v1 hierarchies."""
    try:
        entries = pid_cgroup.parse(root.read(name))
    except CollectError as error:
        problems.failed(error)
        return frozenset()
    except FormatError as error:
        problems.malformed(f"/{name}", error)
        return frozenset()
    return frozenset(controller for entry in entries for controller in entry.controllers)


def _seen(mounts: Iterable[MountInfo], known: frozenset[str]) -> Iterator[Hierarchy]:
    for mount in mounts:
        if mount.fstype == "cgroup2":
            yield Hierarchy(2, mount.mountpoint, (), mount.root)
        elif mount.fstype == "cgroup":
            controllers = tuple(
                option
                for option in mount.super_options
                if option in known or option.startswith("name=")
            )
            yield Hierarchy(1, mount.mountpoint, controllers, mount.root)


def _shown(root: Root, hierarchy: Hierarchy, problems: Problems) -> bool:
    """Tell whether the mount can be seen: another one may be mounted over it."""
    try:
        return "cgroup.procs" in root.names(hierarchy.mountpoint)
    except Missing:
        return False
    except CollectError as error:
        problems.failed(error)
        return False


def _completed(root: Root, hierarchy: Hierarchy, problems: Problems) -> Hierarchy:
    if hierarchy.version == 1:
        return hierarchy
    try:
        controllers = root.read(f"{hierarchy.mountpoint}/cgroup.controllers")
    except CollectError as error:
        problems.failed(error)
        return hierarchy
    names = tuple(controllers.decode("ascii", "backslashreplace").split())
    return Hierarchy(2, hierarchy.mountpoint, names, hierarchy.root)
