"""Cgroups by path, with those above them: which limit binds, and what was counted before."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Depth, Hierarchy
from inspector.sample import Sample, elapsed

Key = tuple[str, str]
"""Hierarchy and path."""


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
    before: Mapping[tuple[str, str, int], Cgroup]
    """By hierarchy, path and inode: one that was made anew continues nothing."""
    seconds: float | None
    roots: Mapping[str, str]
    """By hierarchy: the path that is mounted, which is not `/` within a container."""
    device_names: Mapping[str, str]
    depths: Mapping[Key, Depth] = field(default_factory=dict[Key, Depth])
    """What cgroups say besides, where it was asked for."""
    asked: bool = False
    """Whether it was."""

    def depth(self, cgroup: Cgroup) -> Depth | None:
        """Return what a cgroup says besides; None where it was not asked for."""
        return self.depths.get((cgroup.hierarchy, cgroup.path))

    def previous(self, cgroup: Cgroup) -> Cgroup | None:
        """Return the same cgroup in the sample before."""
        return self.before.get((cgroup.hierarchy, cgroup.path, cgroup.inode))

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
        cores: Limit | None = None
        memory: Limit | None = None
        pids: Limit | None = None
        high: Limit | None = None
        swap: Limit | None = None
        for own in cgroups_of_one:
            for cgroup in self.chain(own):
                if cgroup.cpu and cgroup.cpu.quota_usec is not None and cgroup.cpu.period_usec:
                    cores = _smaller(cores, cgroup.cpu.quota_usec / cgroup.cpu.period_usec, cgroup)
                if cgroup.memory and cgroup.memory.limit_bytes is not None:
                    memory = _smaller(memory, cgroup.memory.limit_bytes, cgroup)
                if cgroup.memory and cgroup.memory.high_bytes is not None:
                    high = _smaller(high, cgroup.memory.high_bytes, cgroup)
                if cgroup.memory and cgroup.memory.swap_limit_bytes is not None:
                    swap = _smaller(swap, cgroup.memory.swap_limit_bytes, cgroup)
                if cgroup.pids and cgroup.pids.limit is not None:
                    pids = _smaller(pids, cgroup.pids.limit, cgroup)
        return Limits(cores, memory, pids, high, swap)


def table(previous: Sample | None, current: Sample) -> Table:
    """Index the cgroups of two samples."""
    reading = current.get(cgroups.KEY)
    depth = current.get(cgroups.DEPTH)
    earlier = previous.get(cgroups.KEY) if previous is not None else None
    return Table(
        current={(group.hierarchy, group.path): group for group in reading.cgroups}
        if reading
        else {},
        before={(group.hierarchy, group.path, group.inode): group for group in earlier.cgroups}
        if earlier
        else {},
        seconds=elapsed(previous, current, cgroups.KEY),
        roots={_name(one): one.root for one in _hierarchies(reading)},
        device_names=reading.device_names if reading else {},
        depths=depth.depths if depth else {},
        asked=depth is not None,
    )


def _hierarchies(reading: CgroupsReading | None) -> tuple[Hierarchy, ...]:
    return reading.hierarchies if reading else ()


def _name(hierarchy: Hierarchy) -> str:
    return "" if hierarchy.version == 2 else ",".join(hierarchy.controllers)


def _smaller(best: Limit | None, value: float, cgroup: Cgroup) -> Limit:
    return Limit(value, cgroup.path) if best is None or value < best.value else best
