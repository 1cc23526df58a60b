"""What a cgroup says besides: protection, local events, cpuset, io limits, hugetlb, rdma, misc, NUMA."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Counted, Cpuset, Depth, Hugetlb, IoLimit
from collectors.formats import keyed, scalar
from collectors.formats.scalar import no_limit
from runtime.errors import FormatError
from runtime.formats import flat, nested

_HUGETLB: Final = re.compile(r"hugetlb\.([0-9]+[KMGT]B)\.(?:current|usage_in_bytes)")
_IO_KEYS: Final = (
    ("rbps", "read_bytes", "blkio.throttle.read_bps_device"),
    ("wbps", "write_bytes", "blkio.throttle.write_bps_device"),
    ("riops", "read_ops", "blkio.throttle.read_iops_device"),
    ("wiops", "write_ops", "blkio.throttle.write_iops_device"),
)
"""Version 2's key in io.max, ours, and version 1's file."""
_WEIGHTS: Final = ("io.weight", "io.bfq.weight", "blkio.weight", "blkio.bfq.weight")
_Field: TypeAlias = tuple[str, str, Callable[[bytes], object]]
"""A field of `Depth`, the file that tells it, and how that is parsed."""
_Said: TypeAlias = Mapping[str, object]
"""Some of its fields."""
_Joined: TypeAlias = Callable[[Group], _Said]


def _flag(data: bytes) -> bool:
    return scalar.number(data) != 0


def _with_no_limit(data: bytes) -> int | None:
    return no_limit(scalar.number(data))


def _filled(data: bytes) -> Mapping[str, int] | None:
    return flat.parse(data) or None


def _percpu(data: bytes) -> tuple[int, ...]:
    """Return cpuacct.usage_percpu in microseconds."""
    words = data.split()
    if not all(word.isdigit() and len(word) < 20 for word in words):
        raise FormatError(f"not nanoseconds by processor: {data[:80]!r}")
    return tuple(int(word) // 1000 for word in words)


_PLAIN: Final[Sequence[_Field]] = (
    ("type", "cgroup.type", keyed.line),
    ("subtree_control", "cgroup.subtree_control", keyed.words),
    ("descendants_limit", "cgroup.max.descendants", scalar.limit),
    ("depth_limit", "cgroup.max.depth", scalar.limit),
    ("cpu_usage_percpu_usec", "cpuacct.usage_percpu", _percpu),
    ("cpu_burst_limit_usec", "cpu.max.burst", scalar.number),
    ("cpu_burst_limit_usec", "cpu.cfs_burst_us", scalar.number),
    ("cpu_idle", "cpu.idle", _flag),
    ("memory_min_bytes", "memory.min", scalar.limit),
    ("memory_low_bytes", "memory.low", scalar.limit),
    ("memory_soft_limit_bytes", "memory.soft_limit_in_bytes", _with_no_limit),
    ("memory_oom_group", "memory.oom.group", _flag),
    ("memory_events_local", "memory.events.local", _filled),
    ("zswap_bytes", "memory.zswap.current", scalar.number),
    ("zswap_limit_bytes", "memory.zswap.max", scalar.limit),
    ("zswap_writeback", "memory.zswap.writeback", _flag),
    ("swap_peak_bytes", "memory.swap.peak", scalar.number),
    ("swap_high_bytes", "memory.swap.high", scalar.limit),
    ("swap_events", "memory.swap.events", _filled),
    ("tcp_bytes", "memory.kmem.tcp.usage_in_bytes", scalar.number),
    ("swappiness", "memory.swappiness", scalar.number),
    ("pids_peak", "pids.peak", scalar.number),
    ("pids_events", "pids.events", _filled),
)
"""What one file alone tells."""


def read(group: Group, *, numa: bool = False) -> Depth:
    """Read it; `numa` asks for memory.numa_stat too."""
    plain, joined = plan(group.memory.files)
    said: dict[str, Any] = {field: group.read(file, parse) for field, file, parse in plain}
    for one in joined:
        said.update(one(group))
    if numa:
        said["numa"] = group.read("memory.numa_stat", keyed.numa) or {}
    return Depth(**said)


def is_any(group: Group) -> bool:
    """Return whether a cgroup has any file that is read for it."""
    return any(plan(group.memory.files))


@lru_cache(maxsize=256)
def plan(files: frozenset[str]) -> tuple[Sequence[_Field], Sequence[_Joined]]:
    """Return what is to be read of the cgroups that have these files: many have the same."""
    sizes = sorted(match[1] for file in files if (match := _HUGETLB.fullmatch(file)))
    joined: Sequence[tuple[_Joined, Iterable[str]]] = (
        (_below, ("cgroup.stat",)),
        (_throttled, ("cpu.stat.local",)),
        (_cpuset, ("cpuset.cpus", "cpuset.cpus.effective")),
        (_weight, _WEIGHTS),
        (_io_limits, ("io.max", *(file for _, _, file in _IO_KEYS))),
        (partial(_hugetlb, sizes=sizes), files if sizes else ()),
        (_rdma, ("rdma.current", "rdma.max")),
        (_misc, ("misc.current", "misc.max")),
    )
    return (
        tuple(one for one in _PLAIN if one[1] in files),
        tuple(one for one, told_by in joined if not files.isdisjoint(told_by)),
    )


def _below(group: Group) -> _Said:
    stat = group.flat("cgroup.stat")
    return {
        "descendants": stat.get("nr_descendants"),
        "dying_descendants": stat.get("nr_dying_descendants"),
    }


def _throttled(group: Group) -> _Said:
    local = group.flat("cpu.stat.local")
    if group.hierarchy.version == 2:
        return {"cpu_throttled_local_usec": local.get("throttled_usec")}
    nanoseconds = local.get("throttled_time")
    return {"cpu_throttled_local_usec": None if nanoseconds is None else nanoseconds // 1000}


def _cpuset(group: Group) -> _Said:
    effective = "cpuset.{}.effective" if group.hierarchy.version == 2 else "cpuset.effective_{}"
    return {
        "cpuset": Cpuset(
            cpus=group.cpus_or_nodes("cpuset.cpus"),
            mems=group.cpus_or_nodes("cpuset.mems"),
            effective_cpus=group.cpus_or_nodes(effective.format("cpus")),
            effective_mems=group.cpus_or_nodes(effective.format("mems")),
            partition=group.read("cpuset.cpus.partition", keyed.line),
            memory_migrate=group.read("cpuset.memory_migrate", _flag),
        )
    }


def _weight(group: Group) -> _Said:
    """Tell its share of the device where others want it too; who sets it depends on the scheduler."""
    file = next(file for file in _WEIGHTS if file in group)
    if file.startswith("io."):
        return {"io_weight": group.flat(file).get("default")}
    return {"io_weight": group.number(file)}


def _io_limits(group: Group) -> _Said:
    found: dict[str, dict[str, int | None]] = {}
    if group.hierarchy.version == 2:
        for device, said in (group.read("io.max", nested.parse) or {}).items():
            found[device] = {ours: _count(said.get(key)) for key, ours, _ in _IO_KEYS}
    else:
        for _, ours, file in _IO_KEYS:
            for device, value in group.flat(file).items():
                found.setdefault(device, {})[ours] = value
    limits = {
        device: IoLimit(**limits)
        for device, limits in found.items()
        if any(value is not None for value in limits.values())
    }
    return {"io_limits": limits}


def _hugetlb(group: Group, *, sizes: Iterable[str]) -> _Said:
    found: dict[str, Hugetlb] = {}
    for size in sizes:
        one = _of_size(group, f"hugetlb.{size}")
        if any((one.current_bytes, one.failures, one.reserved_bytes)) or (
            one.limit_bytes is not None or one.reserved_limit_bytes is not None
        ):
            found[size] = one
    return {"hugetlb": found}


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


def _rdma(group: Group) -> _Said:
    used = group.read("rdma.current", nested.parse) or {}
    limits = group.read("rdma.max", nested.parse) or {}
    counted = {
        device: {
            resource: Counted(
                _count(used.get(device, {}).get(resource)),
                _count(limits.get(device, {}).get(resource)),
            )
            for resource in _either(used.get(device, {}), limits.get(device, {}))
        }
        for device in _either(used, limits)
    }
    return {"rdma": counted}


def _misc(group: Group) -> _Said:
    used = group.read("misc.current", keyed.limits) or {}
    limits = group.read("misc.max", keyed.limits) or {}
    counted = {name: Counted(used.get(name), limits.get(name)) for name in _either(used, limits)}
    return {"misc": counted}


def _either(one: Iterable[str], other: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys((*one, *other))


def _count(value: str | None) -> int | None:
    """Return a number; None for `max` and for what is not there."""
    return int(value) if value is not None and value.isdigit() and len(value) <= 20 else None
