"""The files of one cgroup of version 1 (cgroup-v1/*.rst); which are there says what is mounted."""

import os
from collections.abc import Mapping
from functools import lru_cache

from collectors.cgroupfs.group import Group
from collectors.cgroupfs.records import Cgroup, Cpu, Memory, Pids
from collectors.formats import io_device
from collectors.formats.io_device import IoDevice
from collectors.formats.scalar import no_limit

_USEC_PER_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")
_NAMES = {
    "rss": "anon",
    "cache": "file",
    "mapped_file": "file_mapped",
    "dirty": "file_dirty",
    "writeback": "file_writeback",
    "rss_huge": "anon_thp",
    "swap": "swap",
}
"""How version 2 calls what version 1 calls otherwise."""
_FROZEN = {b"FROZEN": True, b"FREEZING": False, b"THAWED": False}


def read(group: Group) -> Cgroup:
    """Read one; what its hierarchy's controllers do not tell is None."""
    return Cgroup(
        hierarchy=",".join(group.hierarchy.controllers),
        path=group.path,
        inode=group.inode,
        controllers=group.hierarchy.controllers,
        processes=group.members(),
        populated=None,
        frozen=group.read("freezer.state", lambda data: _FROZEN.get(data.strip())),
        cpu=_cpu(group),
        cpuset_cpus=group.cpus_or_nodes("cpuset.effective_cpus", "cpuset.cpus"),
        cpuset_mems=group.cpus_or_nodes("cpuset.effective_mems", "cpuset.mems"),
        memory=_memory(group),
        io=_io(group),
        pids=_pids(group),
    )


def _cpu(group: Group) -> Cpu | None:
    """Nanoseconds and clock ticks are made microseconds."""
    if "cpuacct.usage" not in group and "cpu.shares" not in group:
        return None
    ticks = group.flat("cpuacct.stat")
    stat = group.flat("cpu.stat")
    quota = group.number("cpu.cfs_quota_us")
    return Cpu(
        usage_usec=_divided(group.number("cpuacct.usage"), 1000),
        user_usec=_multiplied(ticks.get("user"), _USEC_PER_TICK),
        system_usec=_multiplied(ticks.get("system"), _USEC_PER_TICK),
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled_usec=_divided(stat.get("throttled_time"), 1000),
        quota_usec=None if quota is None or quota < 0 else quota,
        period_usec=group.number("cpu.cfs_period_us"),
        shares=group.number("cpu.shares"),
        bursts=stat.get("nr_bursts"),
        burst_usec=_divided(stat.get("burst_time"), 1000),
    )


def _divided(value: int | None, by: int) -> int | None:
    return None if value is None else value // by


def _multiplied(value: int | None, by: int) -> int | None:
    return None if value is None else value * by


def _memory(group: Group) -> Memory | None:
    """The `total_` numbers, as those of usage and limit, count what is below it too."""
    if "memory.usage_in_bytes" not in group:
        return None
    stat = group.flat("memory.stat")
    events = _memory_events(group)
    limit = _limit(group, "memory.limit_in_bytes")
    return Memory(
        current_bytes=group.number("memory.usage_in_bytes"),
        anon_bytes=stat.get("total_rss"),
        file_bytes=stat.get("total_cache"),
        inactive_file_bytes=stat.get("total_inactive_file"),
        kernel_bytes=group.number("memory.kmem.usage_in_bytes"),
        swap_bytes=stat.get("total_swap"),
        peak_bytes=group.number("memory.max_usage_in_bytes"),
        limit_bytes=limit,
        swap_limit_bytes=_swap_limit(group, limit),
        hierarchical_limit_bytes=no_limit(stat.get("hierarchical_memory_limit")),
        oom_kills=events.get("oom_kill"),
        events=events,
        stat=_stat(stat),
    )


def _stat(stat: Mapping[str, int]) -> Mapping[str, int]:
    """Return the numbers that count what is below too, by version 2's names."""
    return {name: value for total, value in stat.items() if (name := _name(total)) is not None}


@lru_cache(maxsize=512)
def _name(total: str) -> str | None:
    """Return version 2's name of a number; None where it does not count what is below."""
    name = total.removeprefix("total_")
    return None if name == total else _NAMES.get(name, name)


def _memory_events(group: Group) -> Mapping[str, int]:
    """Return oom_control's lines, and failcnt: how often its limit was hit."""
    events = dict(group.flat("memory.oom_control"))
    failures = group.number("memory.failcnt")
    return events if failures is None else events | {"failcnt": failures}


def _limit(group: Group, file: str) -> int | None:
    return no_limit(group.number(file))


def _swap_limit(group: Group, memory: int | None) -> int | None:
    """Return what swap alone may take: `memsw` limits memory and swap together."""
    both = _limit(group, "memory.memsw.limit_in_bytes")
    return None if both is None or memory is None else max(both - memory, 0)


def _io(group: Group) -> tuple[IoDevice, ...] | None:
    """Return the throttling layer's counters: all of them, whichever scheduler a device has."""
    sizes = _blkio(group, "blkio.throttle.io_service_bytes")
    operations = _blkio(group, "blkio.throttle.io_serviced")
    if sizes is None or operations is None:
        return None
    return io_device.join_blkio(sizes, operations)


def _blkio(group: Group, file: str) -> Mapping[str, tuple[int, int]] | None:
    """Return the file that counts what is below it too; before Linux 4.x there is the other only."""
    recursive = f"{file}_recursive"
    return group.read(recursive if recursive in group else file, io_device.parse_blkio)


def _pids(group: Group) -> Pids | None:
    if "pids.current" not in group:
        return None
    return Pids(group.number("pids.current"), group.limit("pids.max"))
