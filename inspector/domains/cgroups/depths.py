"""The fields of a cgroup that are there only where they were asked for, and those of memory.stat."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, UnsetType

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups import bounds, kills
from inspector.domains.cgroups.limits import Table
from inspector.domains.cgroups.model import Counted, Cpuset, Hugetlb, IoLimit

_COUNTS: Final = (
    "pg",
    "workingset_",
    "thp_",
    "zsw",
    "swpin",
    "swpout",
    "numa_",
    "pswp",
    "hugetlb_",
)
"""How the keys of memory.stat begin that count pages or faults; the others are sizes."""


def stat(said: Mapping[str, int]) -> dict[str, int]:
    """Return memory.stat with `_bytes` on the sizes."""
    return {name if name.startswith(_COUNTS) else f"{name}_bytes": n for name, n in said.items()}


def cpu(table: Table, groups: Sequence[raw.Cgroup]) -> dict[str, Any]:
    """Return what the processor's rules say besides, of the cgroup that has them."""
    if not table.asked:
        return {}
    listed = [(group, depth) for group in groups if (depth := table.depth(group)) is not None]
    rules = next((one for one in listed if one[0].cpu and one[0].cpu.period_usec is not None), None)
    rule, said = (rules[0].cpu, rules[1]) if rules is not None else (None, None)
    return {
        "quota_usec": rule.quota_usec if rule else None,
        "period_usec": rule.period_usec if rule else None,
        "throttled_local_usec": said.cpu_throttled_local_usec if said else None,
        "burst_limit_usec": said.cpu_burst_limit_usec if said else None,
        "idle": said.cpu_idle if said else None,
        "usage_percpu_usec": next(
            (one.cpu_usage_percpu_usec for _, one in listed if one.cpu_usage_percpu_usec), None
        ),
    }


def memory(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what memory says besides."""
    depth = table.depth(group)
    if depth is None:
        return {}
    numa: dict[str, Any] = {"numa": depth.numa} if depth.numa else {}
    said = group.memory
    least, low = bounds.of(table, group)[:2]
    below, gone = kills.below(table, group)
    return numa | {
        "own_limit_bytes": said.limit_bytes if said else None,
        "own_high_bytes": said.high_bytes if said else None,
        "own_swap_limit_bytes": said.swap_limit_bytes if said else None,
        "effective_min_bytes": int(least.value) if least else None,
        "min_limited_by": least.path if least else None,
        "effective_low_bytes": int(low.value) if low else None,
        "low_limited_by": low.path if low else None,
        "oom_kills_below": below,
        "oom_kills_gone": gone,
        "zswap_writeback": depth.zswap_writeback,
        "swap_high_bytes": depth.swap_high_bytes,
        "swap_events": depth.swap_events,
        "tcp_bytes": depth.tcp_bytes,
        "swappiness": depth.swappiness,
        "min_bytes": depth.memory_min_bytes,
        "low_bytes": depth.memory_low_bytes,
        "soft_limit_bytes": depth.memory_soft_limit_bytes,
        "oom_group": depth.memory_oom_group,
        # Version 1 counts events where they happened, and there alone.
        "events_local": (said.events if said else None)
        if group.hierarchy
        else depth.memory_events_local,
        "zswap_bytes": depth.zswap_bytes,
        "zswap_limit_bytes": depth.zswap_limit_bytes,
        "swap_peak_bytes": depth.swap_peak_bytes,
    }


def pids(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what the tasks' counter says besides."""
    depth = table.depth(group)
    return {} if depth is None else {"peak": depth.pids_peak, "events": depth.pids_events}


def io(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what may be done on each device, and whose limit that is."""
    depth = table.depth(group)
    if depth is None:
        return {}
    bound = bounds.of(table, group).io
    found: list[IoLimit] = []
    for device in sorted(bound):
        said: dict[str, Any] = {}
        for name in bounds.IO_LIMITS:
            limit = bound[device].get(name)
            said[name] = None if limit is None else int(limit.value)
            said[f"{name}_limited_by"] = None if limit is None else limit.path
        found.append(IoLimit(device=device, name=table.device_names.get(device), **said))
    return {"weight": depth.io_weight, "limits": tuple(found)}


def _cpuset(table: Table, group: raw.Cgroup, depth: raw.Depth) -> Cpuset | UnsetType:
    said = depth.cpuset
    if said is None:
        return UNSET
    return Cpuset(
        cpus=said.cpus,
        mems=said.mems,
        effective_cpus=said.effective_cpus,
        effective_mems=said.effective_mems,
        cpus_limited_by=bounds.of(table, group).cpus,
        mems_limited_by=bounds.of(table, group).mems,
        partition=said.partition,
        memory_migrate=said.memory_migrate,
    )


def _hugetlb(table: Table, group: raw.Cgroup, size: str, one: raw.Hugetlb) -> Hugetlb:
    bound = bounds.of(table, group).hugetlb.get(size)
    return Hugetlb(
        current_bytes=one.current_bytes,
        limit_bytes=one.limit_bytes,
        peak_bytes=one.peak_bytes,
        failures=one.failures,
        effective_limit_bytes=int(bound.value) if bound else None,
        limited_by=bound.path if bound else None,
        reserved_bytes=one.reserved_bytes,
        reserved_limit_bytes=one.reserved_limit_bytes,
    )


def cgroup(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what a cgroup says besides."""
    depth = table.depth(group)
    if depth is None:
        return {}
    return {
        "type": depth.type,
        "subtree_control": depth.subtree_control,
        "descendants": depth.descendants,
        "dying_descendants": depth.dying_descendants,
        "descendants_limit": depth.descendants_limit,
        "depth_limit": depth.depth_limit,
        "cpuset": _cpuset(table, group, depth),
        "hugetlb": {size: _hugetlb(table, group, size, one) for size, one in depth.hugetlb.items()},
        "rdma": {
            device: {name: _counted(one) for name, one in resources.items()}
            for device, resources in depth.rdma.items()
        },
        "misc": {name: _counted(one) for name, one in depth.misc.items()},
    }


def _counted(one: raw.Counted) -> Counted:
    return Counted(one.current, one.limit)
