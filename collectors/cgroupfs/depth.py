"""What a cgroup says besides: protection, local events, cpuset, io limits, hugetlb, rdma, misc, NUMA."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Counted, Cpuset, Depth, Hugetlb, IoLimit
from collectors.formats import keyed
from collectors.formats.scalar import no_limit
from runtime.errors import FormatError
from runtime.formats import nested

_HUGETLB: Final = re.compile(r"hugetlb\.([0-9]+[KMGT]B)\.(?:current|usage_in_bytes)")
_IO_KEYS: Final = (
    ("rbps", "read_bytes", "blkio.throttle.read_bps_device"),
    ("wbps", "write_bytes", "blkio.throttle.write_bps_device"),
    ("riops", "read_ops", "blkio.throttle.read_iops_device"),
    ("wiops", "write_ops", "blkio.throttle.write_iops_device"),
)
"""Version 2's key in io.max, ours, and version 1's file."""


def read(group: Group, *, numa: bool = False) -> Depth:
    """Read it; `numa` asks for memory.numa_stat too."""
    version2 = group.hierarchy.version == 2
    stat = group.flat("cgroup.stat")
    events = group.flat("memory.events.local")
    pids_events = group.flat("pids.events")
    swap_events = group.flat("memory.swap.events")
    return Depth(
        type=group.read("cgroup.type", keyed.line),
        subtree_control=group.read("cgroup.subtree_control", keyed.words),
        descendants=stat.get("nr_descendants"),
        dying_descendants=stat.get("nr_dying_descendants"),
        descendants_limit=group.limit("cgroup.max.descendants"),
        depth_limit=group.limit("cgroup.max.depth"),
        cpu_throttled_local_usec=_throttled(group, version2=version2),
        cpu_usage_percpu_usec=group.read("cpuacct.usage_percpu", _percpu),
        cpuset=_cpuset(group, version2=version2),
        cpu_burst_limit_usec=group.number("cpu.max.burst" if version2 else "cpu.cfs_burst_us"),
        cpu_idle=_flag(group.number("cpu.idle")),
        memory_min_bytes=group.limit("memory.min"),
        memory_low_bytes=group.limit("memory.low"),
        memory_soft_limit_bytes=no_limit(group.number("memory.soft_limit_in_bytes")),
        memory_oom_group=_flag(group.number("memory.oom.group")),
        memory_events_local=events or None,
        zswap_bytes=group.number("memory.zswap.current"),
        zswap_limit_bytes=group.limit("memory.zswap.max"),
        zswap_writeback=_flag(group.number("memory.zswap.writeback")),
        swap_peak_bytes=group.number("memory.swap.peak"),
        swap_high_bytes=group.limit("memory.swap.high"),
        swap_events=swap_events or None,
        tcp_bytes=group.number("memory.kmem.tcp.usage_in_bytes"),
        swappiness=group.number("memory.swappiness"),
        io_weight=_weight(group),
        io_limits=_io_limits(group, version2=version2),
        pids_peak=group.number("pids.peak"),
        pids_events=pids_events or None,
        hugetlb=_hugetlb(group),
        rdma=_rdma(group),
        misc=_misc(group),
        numa=(group.read("memory.numa_stat", keyed.numa) or {}) if numa else {},
    )


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


def _throttled(group: Group, *, version2: bool) -> int | None:
    local = group.flat("cpu.stat.local")
    if version2:
        return local.get("throttled_usec")
    nanoseconds = local.get("throttled_time")
    return None if nanoseconds is None else nanoseconds // 1000


def _percpu(data: bytes) -> tuple[int, ...]:
    """Return cpuacct.usage_percpu in microseconds."""
    words = data.split()
    if not all(word.isdigit() and len(word) < 20 for word in words):
        raise FormatError(f"not nanoseconds by processor: {data[:80]!r}")
    return tuple(int(word) // 1000 for word in words)


def _cpuset(group: Group, *, version2: bool) -> Cpuset | None:
    if "cpuset.cpus" not in group and "cpuset.cpus.effective" not in group:
        return None
    effective = "cpuset.{}.effective" if version2 else "cpuset.effective_{}"
    return Cpuset(
        cpus=group.cpus_or_nodes("cpuset.cpus"),
        mems=group.cpus_or_nodes("cpuset.mems"),
        effective_cpus=group.cpus_or_nodes(effective.format("cpus")),
        effective_mems=group.cpus_or_nodes(effective.format("mems")),
        partition=group.read("cpuset.cpus.partition", keyed.line),
        memory_migrate=_flag(group.number("cpuset.memory_migrate")),
    )


def _weight(group: Group) -> int | None:
    """Return its share of the device where others want it too; who sets it depends on the scheduler."""
    for file in ("io.weight", "io.bfq.weight"):
        if file in group:
            return group.flat(file).get("default")
    for file in ("blkio.weight", "blkio.bfq.weight"):
        if file in group:
            return group.number(file)
    return None


def _io_limits(group: Group, *, version2: bool) -> Mapping[str, IoLimit]:
    found: dict[str, dict[str, int | None]] = {}
    if version2:
        for device, said in (group.read("io.max", nested.parse) or {}).items():
            found[device] = {ours: _count(said.get(key)) for key, ours, _ in _IO_KEYS}
    else:
        for _, ours, file in _IO_KEYS:
            for device, value in group.flat(file).items():
                found.setdefault(device, {})[ours] = value
    return {
        device: IoLimit(**limits)
        for device, limits in found.items()
        if any(value is not None for value in limits.values())
    }


def _hugetlb(group: Group) -> Mapping[str, Hugetlb]:
    found: dict[str, Hugetlb] = {}
    for file in group.memory.files:
        match = _HUGETLB.fullmatch(file)
        if match is None:
            continue
        size = match[1]
        one = _of_size(group, f"hugetlb.{size}")
        if any((one.current_bytes, one.failures, one.reserved_bytes)) or (
            one.limit_bytes is not None or one.reserved_limit_bytes is not None
        ):
            found[size] = one
    return found


def _of_size(group: Group, prefix: str) -> Hugetlb:
    if group.hierarchy.version == 2:
        return Hugetlb(
            current_bytes=group.number(f"{prefix}.current"),
            limit_bytes=group.limit(f"{prefix}.max"),
            failures=group.flat(f"{prefix}.events").get("max"),
            reserved_bytes=group.number(f"{prefix}.rsvd.current"),
            reserved_limit_bytes=group.limit(f"{prefix}.rsvd.max"),
        )
    return Hugetlb(
        current_bytes=group.number(f"{prefix}.usage_in_bytes"),
        limit_bytes=no_limit(group.number(f"{prefix}.limit_in_bytes")),
        peak_bytes=group.number(f"{prefix}.max_usage_in_bytes"),
        failures=group.number(f"{prefix}.failcnt"),
        reserved_bytes=group.number(f"{prefix}.rsvd.usage_in_bytes"),
        reserved_limit_bytes=no_limit(group.number(f"{prefix}.rsvd.limit_in_bytes")),
    )


def _rdma(group: Group) -> Mapping[str, Mapping[str, Counted]]:
    used = group.read("rdma.current", nested.parse) or {}
    limits = group.read("rdma.max", nested.parse) or {}
    return {
        device: {
            resource: Counted(
                _count(used.get(device, {}).get(resource)),
                _count(limits.get(device, {}).get(resource)),
            )
            for resource in _either(used.get(device, {}), limits.get(device, {}))
        }
        for device in _either(used, limits)
    }


def _misc(group: Group) -> Mapping[str, Counted]:
    used = group.read("misc.current", keyed.limits) or {}
    limits = group.read("misc.max", keyed.limits) or {}
    return {name: Counted(used.get(name), limits.get(name)) for name in _either(used, limits)}


def _either(one: Iterable[str], other: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys((*one, *other))


def _count(value: str | None) -> int | None:
    """Return a number; None for `max` and for what is not there."""
    return int(value) if value is not None and value.isdigit() and len(value) <= 20 else None
