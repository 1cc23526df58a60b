"""Reads every cgroup's files, in every hierarchy: v1, hybrid and v2 (cgroups(7), cgroup-v2.rst)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from collectors.cgroupfs import hierarchies
from collectors.cgroupfs.records import (
    Activity,
    Cgroup,
    Change,
    Counted,
    Cpu,
    Cpuset,
    Depth,
    Hierarchy,
    Hugetlb,
    IoLimit,
    Memory,
    Pids,
)
from collectors.cgroupfs.walk import Walker
from collectors.collector import Key
from collectors.errors import CollectError, Problem, Problems
from collectors.formats import diskstats
from collectors.formats.io_device import IoDevice
from collectors.formats.pressure import Pressure, PressureLine
from collectors.root import Root
from runtime.errors import FormatError
from runtime.formats import flat, text

__all__ = [
    "DEPTH",
    "HIERARCHIES",
    "KEY",
    "Cgroup",
    "CgroupsReading",
    "Change",
    "Counted",
    "Cpu",
    "Cpuset",
    "Depth",
    "DepthReading",
    "Hierarchy",
    "Hugetlb",
    "IoDevice",
    "IoLimit",
    "Memory",
    "Pids",
    "Pressure",
    "PressureLine",
    "Reader",
    "read",
    "read_hierarchies",
]

Mode = Literal["v1", "hybrid", "unified"]


class CgroupsReading(Struct, frozen=True):
    """Every cgroup of every hierarchy."""

    mode: Literal["v1", "hybrid", "unified"]
    hierarchies: tuple[Hierarchy, ...]
    cgroups: tuple[Cgroup, ...]
    device_names: Mapping[str, str]
    """From `major:minor` to the kernel's name of the block device."""
    problems: tuple[Problem, ...] = ()
    changes: tuple[Change, ...] = ()
    """What was done to cgroups since the reading before, short-lived ones too."""
    host_oom_kills: int | None = None
    """Processes that the kernel has killed for want of memory since boot, in whatever cgroup;
    None where one was killed while the cgroups were read: theirs may then lack it."""


class DepthReading(Struct, frozen=True):
    """What cgroups say besides, by hierarchy and path; taken after the reading of the cgroups."""

    depths: Mapping[tuple[str, str], Depth]
    problems: tuple[Problem, ...] = ()


DEPTH = Key("depth", DepthReading)
KEY = Key("cgroups", CgroupsReading)
HIERARCHIES = Key("hierarchies", CgroupsReading)
"""The same without any cgroup, for who asks only how they are mounted."""


def read(root: Root) -> CgroupsReading:
    """Walk the hierarchies; a cgroup that goes away while being read is left out.

    Raises `Missing` where no hierarchy is mounted.
    """
    return Reader().read(root)


class Reader:
    """Reads again and again: every cgroup's pulse, and more where something happened."""

    def __init__(self, activity: Callable[[], Activity | None] = lambda: None) -> None:
        """Ask before each reading where processes ran since the one before; None: anywhere."""
        self._activity = activity
        self._finder = hierarchies.Finder()
        self._root: Root | None = None
        self._walker: Walker | None = None
        self._numa: bool | None = None
        """Whether memory is in several nodes, so that where it is can matter."""
        self._names: tuple[frozenset[str], Mapping[str, str]] = (frozenset(), {})
        self._last: tuple[Iterable[Hierarchy], Iterable[Cgroup]] = ((), ())

    def read(self, root: Root) -> CgroupsReading:
        """Return every cgroup, as `read` does; how old its numbers may be is said by `Walker`."""
        if self._walker is None or self._root is not root:
            self._root, self._walker = root, Walker(root)
            self._finder = hierarchies.Finder()
        problems = Problems()
        found = self._finder.find(root, problems)
        cgroups: list[Cgroup] = []
        kills = _host_oom_kills(root)
        self._walker.begin(self._activity())
        for hierarchy in found:
            cgroups.extend(self._walker.walk(hierarchy, problems))
        self._walker.end()
        self._last = (found, cgroups)
        devices = frozenset(device.device for cgroup in cgroups for device in cgroup.io or ())
        if devices != self._names[0]:
            self._names = (devices, _device_names(root, devices, problems))
        return CgroupsReading(
            mode=_mode(found),
            hierarchies=found,
            cgroups=tuple(cgroups),
            device_names=self._names[1],
            problems=problems.all(),
            changes=self._walker.changes(),
            host_oom_kills=kills if kills == _host_oom_kills(root) else None,
        )

    def memory_directories(self) -> Mapping[str, str]:
        """Return where the cgroups of a version 1 memory hierarchy are, but its root: their paths."""
        found, groups = self._last
        for one in found:
            if one.version == 1 and "memory" in one.controllers:
                name = ",".join(one.controllers)
                return {
                    one.mountpoint + group.path: group.path
                    for group in groups
                    if group.hierarchy == name and group.path != "/"
                }
        return {}

    def read_depth(self, root: Root) -> DepthReading:
        """Return what the cgroups of the last reading say besides."""
        if self._walker is None or self._root is not root:
            self.read(root)
        if self._walker is None:
            raise AssertionError("a reading has a walker")
        problems = Problems()
        if self._numa is None:
            self._numa = _several_nodes(root)
        depths = self._walker.depths(problems, numa=self._numa)
        return DepthReading(depths, problems.all())


def _several_nodes(root: Root) -> bool:
    try:
        return root.read("sys/devices/system/node/online").strip() not in {b"", b"0"}
    except CollectError:
        return False


def read_hierarchies(root: Root) -> CgroupsReading:
    """Find the hierarchies and walk none; raise as `read` does."""
    problems = Problems()
    found = hierarchies.find(root, problems)
    return CgroupsReading(
        mode=_mode(found),
        hierarchies=found,
        cgroups=(),
        device_names={},
        problems=problems.all(),
    )


def _host_oom_kills(root: Root) -> int | None:
    """Return `oom_kill` of /proc/vmstat (Linux 4.13); None where it is not told."""
    try:
        return flat.parse(root.read("proc/vmstat")).get("oom_kill")
    except (CollectError, FormatError):
        return None  # what it is for is told by cgroups too, but of those that are gone


def _mode(found: Iterable[Hierarchy]) -> Mode:
    versions = {hierarchy.version for hierarchy in found}
    if len(versions) == 2:
        return "hybrid"
    return "unified" if 2 in versions else "v1"


def _device_names(root: Root, devices: Iterable[str], problems: Problems) -> Mapping[str, str]:
    """Name the devices from diskstats; one that has no line there by its link in sysfs."""
    try:
        known = diskstats.parse(root.read("proc/diskstats"))
    except CollectError as error:
        problems.failed(error)
        known = {}
    except FormatError as error:
        problems.malformed("/proc/diskstats", error)
        known = {}
    names: dict[str, str] = {}
    for device in sorted(devices):
        name = known.get(device) or _linked_name(root, device)
        if name is not None:
            names[device] = name
    return names


def _linked_name(root: Root, device: str) -> str | None:
    """Return None for a device that is not there any more: its counters outlive it."""
    try:
        return text.clean(root.link(f"sys/dev/block/{device}").rpartition("/")[2])
    except CollectError:
        return None
