"""`io.containerd.cgroups.v1.Metrics` and `v2.Metrics`: what Stats answers, from our own numbers."""

from __future__ import annotations

from runtime.proto.codec import UINT64, Message, Repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from runtime.proto.codec import Fields

_NO_LIMIT = (1 << 64) - 1


class Pids(Message):
    """Tasks in the cgroup."""

    FIELDS: Fields = ((1, "current", UINT64), (2, "limit", UINT64))
    current: int = 0
    limit: int = 0


class CpuUsage(Message):
    """Processor time, in nanoseconds."""

    FIELDS: Fields = ((1, "total", UINT64), (2, "kernel", UINT64), (3, "user", UINT64))
    total: int = 0
    kernel: int = 0
    user: int = 0


class Throttle(Message):
    """How often and how long (ns) a quota held it back."""

    FIELDS: Fields = (
        (1, "periods", UINT64),
        (2, "throttled_periods", UINT64),
        (3, "throttled_time", UINT64),
    )
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CpuFirst(Message):
    """The processor, on cgroup v1."""

    FIELDS: Fields = ((1, "usage", CpuUsage), (2, "throttling", Throttle))
    usage: CpuUsage | None = None
    throttling: Throttle | None = None


class MemoryEntry(Message):
    """One kind of memory, in bytes."""

    FIELDS: Fields = (
        (1, "limit", UINT64),
        (2, "usage", UINT64),
        (3, "max", UINT64),
        (4, "failcnt", UINT64),
    )
    limit: int = 0
    usage: int = 0
    max: int = 0
    failcnt: int = 0


class MemoryFirst(Message):
    """Memory, on cgroup v1."""

    FIELDS: Fields = (
        (1, "cache", UINT64),
        (2, "rss", UINT64),
        (33, "usage", MemoryEntry),
        (34, "swap", MemoryEntry),
        (35, "kernel", MemoryEntry),
    )
    cache: int = 0
    rss: int = 0
    usage: MemoryEntry | None = None
    swap: MemoryEntry | None = None
    kernel: MemoryEntry | None = None


class MetricsFirst(Message):
    """`io.containerd.cgroups.v1.Metrics`."""

    FIELDS: Fields = ((2, "pids", Pids), (3, "cpu", CpuFirst), (4, "memory", MemoryFirst))
    pids: Pids | None = None
    cpu: CpuFirst | None = None
    memory: MemoryFirst | None = None


class CpuSecond(Message):
    """The processor, on cgroup v2, in microseconds."""

    FIELDS: Fields = (
        (1, "usage_usec", UINT64),
        (2, "user_usec", UINT64),
        (3, "system_usec", UINT64),
        (4, "nr_periods", UINT64),
        (5, "nr_throttled", UINT64),
        (6, "throttled_usec", UINT64),
    )
    usage_usec: int = 0
    user_usec: int = 0
    system_usec: int = 0
    nr_periods: int = 0
    nr_throttled: int = 0
    throttled_usec: int = 0


class MemorySecond(Message):
    """Memory, on cgroup v2, in bytes."""

    FIELDS: Fields = (
        (1, "anon", UINT64),
        (2, "file", UINT64),
        (32, "usage", UINT64),
        (33, "usage_limit", UINT64),
        (34, "swap_usage", UINT64),
        (35, "swap_limit", UINT64),
        (36, "max_usage", UINT64),
    )
    anon: int = 0
    file: int = 0
    usage: int = 0
    usage_limit: int = 0
    swap_usage: int = 0
    swap_limit: int = 0
    max_usage: int = 0


class IoEntry(Message):
    """One block device."""

    FIELDS: Fields = (
        (1, "major", UINT64),
        (2, "minor", UINT64),
        (3, "rbytes", UINT64),
        (4, "wbytes", UINT64),
        (5, "rios", UINT64),
        (6, "wios", UINT64),
    )
    major: int = 0
    minor: int = 0
    rbytes: int = 0
    wbytes: int = 0
    rios: int = 0
    wios: int = 0


class IoSecond(Message):
    """Block devices, on cgroup v2."""

    FIELDS: Fields = ((1, "usage", Repeated(IoEntry)),)
    usage: Sequence[IoEntry] = ()


class MetricsSecond(Message):
    """`io.containerd.cgroups.v2.Metrics`."""

    FIELDS: Fields = (
        (1, "pids", Pids),
        (2, "cpu", CpuSecond),
        (4, "memory", MemorySecond),
        (6, "io", IoSecond),
    )
    pids: Pids | None = None
    cpu: CpuSecond | None = None
    memory: MemorySecond | None = None
    io: IoSecond | None = None


def of(stats: Mapping[str, Any], *, unified: bool = False) -> tuple[str, Message]:
    """Return the message's full name and the message, from `runtime.cgroups.statistics`."""
    pids = stats.get("pids")
    told = None if pids is None else Pids(current=pids["current"], limit=_limit(pids.get("limit")))
    if unified:
        second = MetricsSecond(
            pids=told, cpu=_cpu_second(stats), memory=_memory_second(stats), io=_io(stats)
        )
        return "io.containerd.cgroups.v2.Metrics", second
    first = MetricsFirst(pids=told, cpu=_cpu_first(stats), memory=_memory_first(stats))
    return "io.containerd.cgroups.v1.Metrics", first


def _limit(value: int | None) -> int:
    """A limit that is none is the largest number on the wire, and 0 for pids, as containerd has it."""
    return 0 if value is None or value < 0 else value


def _cpu_first(stats: Mapping[str, Any]) -> CpuFirst | None:
    cpu = stats.get("cpu")
    if cpu is None:
        return None
    usage = CpuUsage(
        total=cpu.get("usage_usec", 0) * 1000,
        kernel=cpu.get("system_usec", 0) * 1000,
        user=cpu.get("user_usec", 0) * 1000,
    )
    throttling = Throttle(
        periods=cpu.get("periods", 0),
        throttled_periods=cpu.get("throttled_periods", 0),
        throttled_time=cpu.get("throttled_usec", 0) * 1000,
    )
    return CpuFirst(usage=usage, throttling=throttling)


def _memory_first(stats: Mapping[str, Any]) -> MemoryFirst | None:
    memory = stats.get("memory")
    if memory is None:
        return None
    stat = memory.get("stat", {})
    usage = MemoryEntry(
        limit=_bytes_limit(memory.get("limit_bytes")),
        usage=memory.get("usage_bytes", 0),
        max=memory.get("peak_bytes", 0),
        failcnt=memory.get("failures", 0),
    )
    swap = MemoryEntry(
        limit=_bytes_limit(memory.get("swap_limit_bytes")), usage=memory.get("swap_bytes", 0)
    )
    kernel = MemoryEntry(usage=memory.get("kernel_bytes", 0))
    return MemoryFirst(
        cache=stat.get("cache", 0), rss=stat.get("rss", 0), usage=usage, swap=swap, kernel=kernel
    )


def _bytes_limit(value: int | None) -> int:
    return _NO_LIMIT if value is None or value < 0 else value


def _cpu_second(stats: Mapping[str, Any]) -> CpuSecond | None:
    cpu = stats.get("cpu")
    if cpu is None:
        return None
    return CpuSecond(
        usage_usec=cpu.get("usage_usec", 0),
        user_usec=cpu.get("user_usec", 0),
        system_usec=cpu.get("system_usec", 0),
        nr_periods=cpu.get("periods", 0),
        nr_throttled=cpu.get("throttled_periods", 0),
        throttled_usec=cpu.get("throttled_usec", 0),
    )


def _memory_second(stats: Mapping[str, Any]) -> MemorySecond | None:
    memory = stats.get("memory")
    if memory is None:
        return None
    stat = memory.get("stat", {})
    return MemorySecond(
        anon=stat.get("anon", 0),
        file=stat.get("file", 0),
        usage=memory.get("usage_bytes", 0),
        usage_limit=_bytes_limit(memory.get("limit_bytes")),
        swap_usage=memory.get("swap_bytes", 0),
        swap_limit=_bytes_limit(memory.get("swap_limit_bytes")),
        max_usage=memory.get("peak_bytes", 0),
    )


def _io(stats: Mapping[str, Any]) -> IoSecond:
    return IoSecond(
        usage=[
            IoEntry(
                major=each["major"],
                minor=each["minor"],
                rbytes=each.get("read_bytes", 0),
                wbytes=each.get("write_bytes", 0),
                rios=each.get("read_ops", 0),
                wios=each.get("write_ops", 0),
            )
            for each in stats.get("io", ())
        ]
    )
