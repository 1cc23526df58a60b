"""What a cgroup says besides its usage and limits: protection, local events, hugetlb, rdma, misc, NUMA."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Counted, Depth, Hugetlb
from collectors.formats import keyed
from collectors.formats.scalar import no_limit
from runtime.formats import nested

_HUGETLB: Final = re.compile(r"hugetlb\.([0-9]+[KMGT]B)\.(?:current|usage_in_bytes)")


def read(group: Group, *, numa: bool = False) -> Depth:
    """Read it; `numa` asks for memory.numa_stat too."""
    version2 = group.hierarchy.version == 2
    stat = group.flat("cgroup.stat")
    events = group.flat("memory.events.local")
    pids_events = group.flat("pids.events")
    return Depth(
        type=group.read("cgroup.type", keyed.line),
        subtree_control=group.read("cgroup.subtree_control", keyed.words),
        descendants=stat.get("nr_descendants"),
        dying_descendants=stat.get("nr_dying_descendants"),
        cpu_burst_limit_usec=group.number("cpu.max.burst" if version2 else "cpu.cfs_burst_us"),
        cpu_idle=_flag(group.number("cpu.idle")),
        memory_min_bytes=group.limit("memory.min"),
        memory_low_bytes=group.limit("memory.low"),
        memory_soft_limit_bytes=no_limit(group.number("memory.soft_limit_in_bytes")),
        memory_oom_group=_flag(group.number("memory.oom.group")),
        memory_events_local=events or None,
        zswap_bytes=group.number("memory.zswap.current"),
        zswap_limit_bytes=group.limit("memory.zswap.max"),
        swap_peak_bytes=group.number("memory.swap.peak"),
        pids_peak=group.number("pids.peak"),
        pids_events=pids_events or None,
        hugetlb=_hugetlb(group),
        rdma=_rdma(group),
        misc=_misc(group),
        numa=(group.read("memory.numa_stat", keyed.numa) or {}) if numa else {},
    )


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


def _hugetlb(group: Group) -> Mapping[str, Hugetlb]:
    found: dict[str, Hugetlb] = {}
    for file in group.memory.files:
        match = _HUGETLB.fullmatch(file)
        if match is None:
            continue
        size = match[1]
        one = _of_size(group, f"hugetlb.{size}")
        if one.current_bytes or one.limit_bytes is not None or one.failures:
            found[size] = one
    return found


def _of_size(group: Group, prefix: str) -> Hugetlb:
    if group.hierarchy.version == 2:
        return Hugetlb(
            current_bytes=group.number(f"{prefix}.current"),
            limit_bytes=group.limit(f"{prefix}.max"),
            failures=group.flat(f"{prefix}.events").get("max"),
        )
    return Hugetlb(
        current_bytes=group.number(f"{prefix}.usage_in_bytes"),
        limit_bytes=no_limit(group.number(f"{prefix}.limit_in_bytes")),
        peak_bytes=group.number(f"{prefix}.max_usage_in_bytes"),
        failures=group.number(f"{prefix}.failcnt"),
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
