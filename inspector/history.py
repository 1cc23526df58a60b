"""What each container and cgroup used over the last samples: ring buffers filled from frames."""

from array import array
from collections.abc import Mapping
from math import isnan, nan
from typing import Final, Literal

from msgspec import UNSET

from inspector.domains.cgroups.model import Cgroup, Cpu, Io, Memory, Pids, Pressure
from inspector.domains.containers.model import Container
from inspector.frame import Frame
from inspector.units import total

Metric = Literal[
    "cpu_cores",
    "memory_bytes",
    "io_read",
    "io_write",
    "pids",
    "cpu_pressure",
    "memory_pressure",
    "io_pressure",
    "rx",
    "tx",
    "throttled",
    "oom_kills",
    "upper_bytes",
]
"""Cores, bytes, bytes a second, tasks, shares of time; `oom_kills` is a running total, `upper_bytes`
what the upper layer holds."""

Identity = tuple[str | int | None, ...]


class Track:
    """One identity's metrics; a metric that was never known takes no room."""

    __slots__ = ("_capacity", "_values", "last_seen", "length")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: dict[Metric, array[float]] = {}
        self.length = 0
        self.last_seen = 0

    def append(self, point: Mapping[Metric, float | None], *, serial: int) -> None:
        """Add one sample; samples that were missed since the one before are unknown ones."""
        if self.length and self.last_seen != serial - 1:
            self._miss(min(serial - self.last_seen - 1, self._capacity))
        known = self._values
        for metric, value in point.items():
            values = known.get(metric)
            if values is None:
                if value is None:
                    continue
                values = known[metric] = array("d", [nan]) * (self.length % self._capacity)
            values.append(nan if value is None else value)
            self._trim(values)
        self.length += 1
        self.last_seen = serial

    def _miss(self, count: int) -> None:
        for values in self._values.values():
            values.extend([nan] * count)
            self._trim(values)
        self.length += count

    def _trim(self, values: "array[float]") -> None:
        """Forget the oldest values, not one by one but when there are as many again."""
        if len(values) >= 2 * self._capacity:
            del values[: -self._capacity]

    def last(self, metric: Metric, count: int) -> tuple[float | None, ...]:
        """Return the newest `count` values, oldest first; before the first one they are unknown."""
        known = self._values.get(metric)
        tail = known[-min(count, self._capacity) :] if known and count > 0 else ()
        padding: tuple[float | None, ...] = (None,) * (count - len(tail))
        return padding + tuple(None if isnan(value) else value for value in tail)


class History:
    """The last `capacity` samples of everything that is still there."""

    GRACE: Final = 30
    """Samples that something may be missing from before it is forgotten."""

    def __init__(self, capacity: int = 240) -> None:
        self._capacity = capacity
        self._tracks: dict[Identity, Track] = {}
        self._serial = 0

    def __len__(self) -> int:
        """Return how many identities are remembered."""
        return len(self._tracks)

    def add(self, frame: Frame) -> None:
        """Take in one frame; a newer one each time."""
        self._serial += 1
        if frame.containers is not UNSET:
            for container in frame.containers:
                if container.resources is not None:
                    self._append(_container_identity(container), _container_point(container))
        if frame.cgroups is not UNSET:
            for cgroup in frame.cgroups:
                self._append(_cgroup_identity(cgroup), _cgroup_point(cgroup))
        if self._serial % self.GRACE == 0:
            self._forget()

    def container(self, container: Container) -> Track | None:
        """Return what is remembered of a container."""
        return self._tracks.get(_container_identity(container))

    def cgroup(self, cgroup: Cgroup) -> Track | None:
        """Return what is remembered of a cgroup; one made anew at the same path starts from nothing."""
        return self._tracks.get(_cgroup_identity(cgroup))

    def _append(self, identity: Identity, point: Mapping[Metric, float | None]) -> None:
        track = self._tracks.get(identity)
        if track is None:
            track = self._tracks[identity] = Track(self._capacity)
        track.append(point, serial=self._serial)

    def _forget(self) -> None:
        oldest = self._serial - self.GRACE
        gone = [key for key, track in self._tracks.items() if track.last_seen < oldest]
        for key in gone:
            del self._tracks[key]


def _container_identity(container: Container) -> Identity:
    return ("container", container.engine, container.id, container.pid)


def _cgroup_identity(cgroup: Cgroup) -> Identity:
    return ("cgroup", cgroup.hierarchy, cgroup.path, cgroup.inode)


def _container_point(container: Container) -> dict[Metric, float | None]:
    resources = container.resources
    if resources is None:
        return {}
    changes = container.rootfs.changes if container.rootfs else None
    point = _point(resources.cpu, resources.memory, resources.io, resources.pids)
    point.update(_pressures(resources.pressure))
    if resources.network is not None:
        point["rx"] = resources.network.rx_bytes_per_second
        point["tx"] = resources.network.tx_bytes_per_second
    point["upper_bytes"] = changes.size_bytes if changes and changes.complete else None
    return point


def _cgroup_point(cgroup: Cgroup) -> dict[Metric, float | None]:
    point = _point(cgroup.cpu, cgroup.memory, cgroup.io, cgroup.pids)
    point.update(_pressures(cgroup.pressure))
    return point


def _point(
    cpu: Cpu | None, memory: Memory | None, io: Io | None, pids: Pids | None
) -> dict[Metric, float | None]:
    point: dict[Metric, float | None] = {}
    if cpu is not None:
        point["cpu_cores"] = cpu.busy_cores
        point["throttled"] = cpu.throttled_ratio
    if memory is not None:
        used = memory.working_set_bytes
        point["memory_bytes"] = memory.current_bytes if used is None else used
        point["oom_kills"] = memory.oom_kills
    if io is not None:
        point["io_read"] = total(device.read_bytes_per_second for device in io.devices)
        point["io_write"] = total(device.write_bytes_per_second for device in io.devices)
    if pids is not None:
        point["pids"] = pids.current
    return point


def _pressures(pressure: Mapping[str, Pressure] | None) -> dict[Metric, float | None]:
    if not pressure:
        return {}
    return {
        "cpu_pressure": _some(pressure.get("cpu")),
        "memory_pressure": _some(pressure.get("memory")),
        "io_pressure": _some(pressure.get("io")),
    }


def _some(pressure: Pressure | None) -> float | None:
    if pressure is None or pressure.some is None:
        return None
    return pressure.some.avg10
