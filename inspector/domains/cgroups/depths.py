"""The fields of a cgroup that are there only where they were asked for, and those of memory.stat."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups.limits import Table
from inspector.domains.cgroups.model import Counted, Hugetlb

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
PER_SECOND: Final = (
    "pgfault",
    "pgmajfault",
    "pgscan",
    "pgsteal",
    "workingset_refault_anon",
    "workingset_refault_file",
    "workingset_refault",
    "pgpgin",
    "pgpgout",
    "pswpin",
    "pswpout",
    "zswpin",
    "zswpout",
)


def stat(said: Mapping[str, int]) -> dict[str, int]:
    """Return memory.stat with `_bytes` on the sizes."""
    return {name if name.startswith(_COUNTS) else f"{name}_bytes": n for name, n in said.items()}


def grown(
    before: Mapping[str, int], after: Mapping[str, int], seconds: float | None
) -> dict[str, float]:
    """Return the counts that grew, a second; empty without a sample before."""
    if seconds is None:
        return {}
    return {
        name: (after[name] - before[name]) / seconds
        for name in PER_SECOND
        if name in after and name in before and after[name] > before[name]
    }


def cpu(table: Table, groups: Sequence[raw.Cgroup]) -> dict[str, Any]:
    """Return what the processor's rules say besides, of the cgroup that has them."""
    for group in groups:
        depth = table.depth(group)
        if depth is not None and (depth.cpu_idle is not None or depth.cpu_burst_limit_usec):
            return {"burst_limit_usec": depth.cpu_burst_limit_usec, "idle": depth.cpu_idle}
    return {"burst_limit_usec": None, "idle": None} if table.asked else {}


def memory(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what memory says besides."""
    depth = table.depth(group)
    if depth is None:
        return {}
    numa: dict[str, Any] = {"numa": depth.numa} if depth.numa else {}
    return numa | {
        "min_bytes": depth.memory_min_bytes,
        "low_bytes": depth.memory_low_bytes,
        "soft_limit_bytes": depth.memory_soft_limit_bytes,
        "oom_group": depth.memory_oom_group,
        "events_local": depth.memory_events_local,
        "zswap_bytes": depth.zswap_bytes,
        "zswap_limit_bytes": depth.zswap_limit_bytes,
        "swap_peak_bytes": depth.swap_peak_bytes,
    }


def pids(table: Table, group: raw.Cgroup) -> dict[str, Any]:
    """Return what the tasks' counter says besides."""
    depth = table.depth(group)
    return {} if depth is None else {"peak": depth.pids_peak, "events": depth.pids_events}


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
        "hugetlb": {
            size: Hugetlb(
                current_bytes=one.current_bytes,
                limit_bytes=one.limit_bytes,
                peak_bytes=one.peak_bytes,
                failures=one.failures,
            )
            for size, one in depth.hugetlb.items()
        },
        "rdma": {
            device: {name: _counted(one) for name, one in resources.items()}
            for device, resources in depth.rdma.items()
        },
        "misc": {name: _counted(one) for name, one in depth.misc.items()},
    }


def _counted(one: raw.Counted) -> Counted:
    return Counted(one.current, one.limit)
