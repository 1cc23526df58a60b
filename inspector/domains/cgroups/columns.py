"""Columns of cgroups."""

from collections.abc import Callable
from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.cgroups.model import Cgroup


def memory_used(cgroup: Cgroup) -> int | None:
    """Return its working set in bytes, or all that is charged to it where that is not known."""
    if cgroup.memory is None:
        return None
    used = cgroup.memory.working_set_bytes
    return cgroup.memory.current_bytes if used is None else used


def io_rate(cgroup: Cgroup) -> float | None:
    """Return bytes a second, read and written, over all devices."""
    if cgroup.io is None:
        return None
    return units.total(
        rate
        for device in cgroup.io.devices
        for rate in (device.read_bytes_per_second, device.write_bytes_per_second)
    )


def pressure(cgroup: Cgroup, resource: str) -> float | None:
    """Return the share of the last ten seconds in which a task waited for the resource."""
    found = (cgroup.pressure or {}).get(resource)
    return found.some.avg10 if found and found.some else None


def _shown(
    get: Callable[[Cgroup], float | None], show: Callable[[float], str]
) -> Callable[[Cgroup], str]:
    def text(cgroup: Cgroup) -> str:
        value = get(cgroup)
        return "" if value is None else show(value)

    return text


def _busy(cgroup: Cgroup) -> float | None:
    return cgroup.cpu.busy_cores if cgroup.cpu else None


def _cpu_limit(cgroup: Cgroup) -> float | None:
    return cgroup.cpu.limit_cores if cgroup.cpu else None


def _throttled(cgroup: Cgroup) -> float | None:
    return cgroup.cpu.throttled_ratio if cgroup.cpu else None


def _memory_limit(cgroup: Cgroup) -> int | None:
    return cgroup.memory.limit_bytes if cgroup.memory else None


def _pids(cgroup: Cgroup) -> int | None:
    return cgroup.pids.current if cgroup.pids else None


def _pids_text(cgroup: Cgroup) -> str:
    if cgroup.pids is None or cgroup.pids.current is None:
        return ""
    limit = cgroup.pids.limit
    return str(cgroup.pids.current) if limit is None else f"{cgroup.pids.current} ⊥{limit}"


PATH: Final = Column[Cgroup]("path", "CGROUP", lambda c: c.path, width=30)
HIERARCHY: Final = Column[Cgroup](
    "hierarchy", "HIERARCHY", lambda c: c.hierarchy or "unified", width=12
)
CONTAINER: Final = Column[Cgroup]("container", "CONTAINER", lambda c: c.container, width=14)
PROCESSES: Final = Column[Cgroup](
    "processes", "PROCS", lambda c: c.processes, width=5, align="right"
)
CPU: Final = Column[Cgroup](
    "cpu.busy_cores",
    "CPU",
    _busy,
    _shown(_busy, units.cores),
    unit="cores",
    width=5,
    align="right",
    help="cores used since the sample before",
)
CPU_LIMIT: Final = Column[Cgroup](
    "cpu.limit_cores",
    "LIMIT",
    _cpu_limit,
    _shown(_cpu_limit, units.cores),
    unit="cores",
    width=6,
    align="right",
)
THROTTLED: Final = Column[Cgroup](
    "cpu.throttled_ratio",
    "THROTTLED",
    _throttled,
    _shown(_throttled, units.percent),
    width=9,
    align="right",
    help="share of its scheduling periods in which it had to wait",
)
MEMORY: Final = Column[Cgroup](
    "memory.working_set_bytes",
    "MEMORY",
    memory_used,
    _shown(memory_used, units.size),
    unit="bytes",
    width=6,
    align="right",
    help="working set: all that is charged, less file pages that can be dropped at once",
)
MEMORY_LIMIT: Final = Column[Cgroup](
    "memory.limit_bytes",
    "LIMIT",
    _memory_limit,
    _shown(_memory_limit, units.size),
    unit="bytes",
    width=6,
    align="right",
)
IO: Final = Column[Cgroup](
    "io.bytes_per_second",
    "IO",
    io_rate,
    _shown(io_rate, units.rate),
    unit="bytes/s",
    width=6,
    align="right",
)
PIDS: Final = Column[Cgroup]("pids.current", "PIDS", _pids, _pids_text, width=9, align="right")
CPU_PRESSURE: Final = Column[Cgroup](
    "pressure.cpu",
    "PSI cpu",
    lambda c: pressure(c, "cpu"),
    _shown(lambda c: pressure(c, "cpu"), units.percent),
    width=7,
    align="right",
    help="share of the last ten seconds in which a task waited for a processor",
)
MEMORY_PRESSURE: Final = Column[Cgroup](
    "pressure.memory",
    "PSI mem",
    lambda c: pressure(c, "memory"),
    _shown(lambda c: pressure(c, "memory"), units.percent),
    width=7,
    align="right",
)
IO_PRESSURE: Final = Column[Cgroup](
    "pressure.io",
    "PSI io",
    lambda c: pressure(c, "io"),
    _shown(lambda c: pressure(c, "io"), units.percent),
    width=7,
    align="right",
)

COLUMNS: Final[tuple[Column[Cgroup], ...]] = (
    PATH,
    HIERARCHY,
    CONTAINER,
    PROCESSES,
    CPU,
    CPU_LIMIT,
    THROTTLED,
    MEMORY,
    MEMORY_LIMIT,
    IO,
    PIDS,
    CPU_PRESSURE,
    MEMORY_PRESSURE,
    IO_PRESSURE,
)
