"""The files of one cgroup of version 2 (cgroup-v2.rst, "Core Interface Files" and "Controllers")."""

from collections.abc import Mapping

from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Cgroup, Cpu, Memory, Pids
from collectors.formats import io_device, keyed, pressure, scalar
from collectors.formats.pressure import Pressure

_PRESSURES = ("cpu", "memory", "io", "irq")
FALLING = (5, 20, 60)
"""Frames after which pressure is read again that can but fall, for nothing runs that could wait: where
the average of ten seconds is to fall yet, only that of sixty, and only that of three hundred."""


def read(group: Group) -> Cgroup:
    """Read one; the root has few files, what it has not is None."""
    events = group.flat("cgroup.events")
    controllers = group.read("cgroup.controllers", keyed.words) or ()
    return Cgroup(
        hierarchy="",
        path=group.path,
        inode=group.inode,
        controllers=controllers,
        processes=group.members(),
        populated=_flag(events, "populated"),
        frozen=_flag(events, "frozen"),
        cpu=_cpu(group),
        cpuset_cpus=group.cpus_or_nodes("cpuset.cpus.effective", "cpuset.cpus"),
        cpuset_mems=group.cpus_or_nodes("cpuset.mems.effective", "cpuset.mems"),
        memory=_memory(group),
        io=group.read("io.stat", io_device.parse_stat),
        pids=_pids(group),
        pressure=pressures(group),
    )


def _flag(events: Mapping[str, int], key: str) -> bool | None:
    value = events.get(key)
    return None if value is None else value != 0


def _cpu(group: Group) -> Cpu | None:
    stat = group.flat("cpu.stat")
    bandwidth = group.read("cpu.max", scalar.bandwidth)
    if not stat and bandwidth is None:
        return None
    quota, period = bandwidth or (None, None)
    return Cpu(
        usage_usec=stat.get("usage_usec"),
        user_usec=stat.get("user_usec"),
        system_usec=stat.get("system_usec"),
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled_usec=stat.get("throttled_usec"),
        quota_usec=quota,
        period_usec=period,
        weight=group.number("cpu.weight"),
        bursts=stat.get("nr_bursts"),
        burst_usec=stat.get("burst_usec"),
    )


def _memory(group: Group) -> Memory | None:
    stat = group.flat("memory.stat")
    if not stat and "memory.current" not in group:
        return None
    events = group.flat("memory.events")
    return Memory(
        current_bytes=group.number("memory.current"),
        anon_bytes=stat.get("anon"),
        file_bytes=stat.get("file"),
        inactive_file_bytes=stat.get("inactive_file"),
        kernel_bytes=_kernel(stat),
        swap_bytes=group.number("memory.swap.current"),
        peak_bytes=group.number("memory.peak"),
        limit_bytes=group.limit("memory.max"),
        high_bytes=group.limit("memory.high"),
        swap_limit_bytes=group.limit("memory.swap.max"),
        oom_kills=events.get("oom_kill"),
        events=events,
        stat=stat,
    )


def _kernel(stat: Mapping[str, int]) -> int | None:
    """Return the kernel's own memory; before Linux 5.18 there are its parts only."""
    if "kernel" in stat:
        return stat["kernel"]
    parts = [stat[key] for key in ("slab", "kernel_stack", "pagetables", "percpu") if key in stat]
    return sum(parts) if parts else None


def _pids(group: Group) -> Pids | None:
    if "pids.current" not in group:
        return None
    return Pids(group.number("pids.current"), group.limit("pids.max"))


def pressures(group: Group) -> Mapping[str, Pressure] | None:
    """Return how long tasks waited for what, by resource; None where the kernel does not count it."""
    found: dict[str, Pressure] = {}
    for resource in _PRESSURES:
        value = group.read(f"{resource}.pressure", pressure.parse)
        if value is not None:
            found[resource] = value
    return found or None


def falling(record: Cgroup) -> int:
    """Return after how many frames its pressure may have fallen though nothing runs; 0: there is none."""
    if record.pressure is None:
        return 0
    lines = [line for each in record.pressure.values() for line in (each.some, each.full)]
    averages = [(line.avg10, line.avg60, line.avg300) for line in lines if line is not None]
    for frames, values in zip(FALLING, zip(*averages, strict=True), strict=False):
        if any(values):
            return frames
    return 0


def fallen(group: Group, record: Cgroup) -> Mapping[str, Pressure]:
    """Return its pressure with that read again which may have fallen."""
    return {
        resource: (group.read(f"{resource}.pressure", pressure.parse) or before)
        if any(
            line and (line.avg10 or line.avg60 or line.avg300)
            for line in (before.some, before.full)
        )
        else before
        for resource, before in (record.pressure or {}).items()
    }
