"""Columns of containers."""

from collections.abc import Callable
from typing import Final

from inspector import units
from inspector.columns import Column, Value
from inspector.domains.cgroups.model import Cpu, Io, Memory, Pids
from inspector.domains.containers.model import Container
from inspector.domains.network.model import NetworkUsage


def cpu(container: Container) -> Cpu | None:
    """Return its processor use, if it is known."""
    return container.resources.cpu if container.resources else None


def memory(container: Container) -> Memory | None:
    """Return its memory use, if it is known."""
    return container.resources.memory if container.resources else None


def memory_used(container: Container) -> int | None:
    """Return its working set in bytes, or all that is charged to it where that is not known."""
    used = memory(container)
    if used is None:
        return None
    return used.current_bytes if used.working_set_bytes is None else used.working_set_bytes


def memory_ratio(container: Container) -> float | None:
    """Return used over the limit that binds, 0 to 1; None without a limit."""
    used, limits = memory_used(container), memory(container)
    if used is None or limits is None or not limits.limit_bytes:
        return None
    return used / limits.limit_bytes


def pids(container: Container) -> Pids | None:
    """Return its tasks, if they are known."""
    return container.resources.pids if container.resources else None


def io_rate(container: Container, *, write: bool) -> float | None:
    """Return bytes a second over all its devices."""
    io: Io | None = container.resources.io if container.resources else None
    if io is None:
        return None
    return units.total(
        device.write_bytes_per_second if write else device.read_bytes_per_second
        for device in io.devices
    )


def network(container: Container) -> NetworkUsage | None:
    """Return its own interfaces' counters; None where it uses the host's."""
    return container.resources.network if container.resources else None


def pair(first: float | None, second: float | None) -> str:
    """Return two rates as `1.2M/340K`; an unknown one is a dash."""
    return "/".join("–" if one is None else units.rate(one) for one in (first, second))  # noqa: RUF001 - a dash is what stands for unknown


def _started(container: Container) -> float | None:
    moment = container.started_at or container.created_at
    return moment.timestamp() if moment else None


def _started_text(container: Container) -> str:
    moment = container.started_at or container.created_at
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _of(
    get: Callable[[Container], Value], show: Callable[[float], str]
) -> Callable[[Container], str]:
    def text(container: Container) -> str:
        value = get(container)
        return show(value) if isinstance(value, int | float) else ""

    return text


def _busy_cores(container: Container) -> float | None:
    used = cpu(container)
    return used.busy_cores if used else None


def _limit_cores(container: Container) -> float | None:
    used = cpu(container)
    return used.limit_cores if used else None


def _memory_limit(container: Container) -> int | None:
    used = memory(container)
    return used.limit_bytes if used else None


def _throttled(container: Container) -> float | None:
    used = cpu(container)
    return used.throttled_ratio if used else None


def _io_total(container: Container) -> float | None:
    return _sum(io_rate(container, write=False), io_rate(container, write=True))


def _network_total(container: Container) -> float | None:
    used = network(container)
    return _sum(used.rx_bytes_per_second, used.tx_bytes_per_second) if used else None


def _network_text(container: Container) -> str:
    used = network(container)
    return pair(used.rx_bytes_per_second, used.tx_bytes_per_second) if used else ""


def _pids_current(container: Container) -> int | None:
    used = pids(container)
    return used.current if used else None


def _pids_text(container: Container) -> str:
    used = pids(container)
    if used is None or used.current is None:
        return ""
    return f"{used.current}/{used.limit}" if used.limit is not None else str(used.current)


NAME: Final = Column[Container](
    "name", "NAME", lambda c: c.name, width=18, help="name, or what it was found by"
)
ID: Final = Column[Container]("id", "ID", lambda c: c.id, width=12)
ENGINE: Final = Column[Container](
    "engine",
    "ENGINE",
    lambda c: c.engine,
    width=10,
    help="who started it; none: found in the kernel only",
)
IMAGE: Final = Column[Container]("image", "IMAGE", lambda c: c.image, width=18)
STATUS: Final = Column[Container]("status", "STATUS", lambda c: c.status, width=8)
PID: Final = Column[Container]("pid", "PID", lambda c: c.pid, width=7, align="right")
COMMAND: Final = Column[Container](
    "command", "COMMAND", lambda c: " ".join(c.command) or None, width=24
)
CPU: Final = Column[Container](
    "cpu.busy_cores",
    "CPU",
    _busy_cores,
    _of(_busy_cores, units.cores),
    unit="cores",
    width=5,
    align="right",
    help="cores used since the sample before",
)
CPU_LIMIT: Final = Column[Container](
    "cpu.limit_cores",
    "LIMIT",
    _limit_cores,
    _of(_limit_cores, units.cores),
    unit="cores",
    width=6,
    align="right",
    help="cores it may use: its own limit or an ancestor's",
)
THROTTLED: Final = Column[Container](
    "cpu.throttled_ratio",
    "THROTTLED",
    _throttled,
    _of(_throttled, units.percent),
    width=9,
    align="right",
    help="share of its scheduling periods in which it had to wait",
)
MEMORY: Final = Column[Container](
    "memory.working_set_bytes",
    "MEMORY",
    memory_used,
    _of(memory_used, units.size),
    unit="bytes",
    width=6,
    align="right",
    help="working set: all that is charged, less file pages that can be dropped at once",
)
MEMORY_LIMIT: Final = Column[Container](
    "memory.limit_bytes",
    "LIMIT",
    _memory_limit,
    _of(_memory_limit, units.size),
    unit="bytes",
    width=6,
    align="right",
    help="bytes it may use: its own limit or an ancestor's",
)
MEMORY_RATIO: Final = Column[Container](
    "memory.ratio",
    "OF LIMIT",
    memory_ratio,
    _of(memory_ratio, units.percent),
    width=5,
    align="right",
    help="memory over the limit that binds",
)
IO: Final = Column[Container](
    "io.bytes_per_second",
    "IO r/w",
    _io_total,
    lambda c: pair(io_rate(c, write=False), io_rate(c, write=True)),
    unit="bytes/s",
    width=11,
    align="right",
    help="bytes a second read from and written to block devices",
)
NETWORK: Final = Column[Container](
    "network.bytes_per_second",
    "NET rx/tx",
    _network_total,
    _network_text,
    unit="bytes/s",
    width=11,
    align="right",
    help="bytes a second over its own interfaces; a dash where it uses the host's",
)
PIDS: Final = Column[Container](
    "pids.current",
    "PIDS",
    _pids_current,
    _pids_text,
    width=8,
    align="right",
    help="tasks, threads included, and how many it may have",
)
STARTED: Final = Column[Container](
    "started_at", "STARTED", _started, _started_text, unit="seconds", width=20
)

COLUMNS: Final[tuple[Column[Container], ...]] = (
    NAME,
    ID,
    ENGINE,
    IMAGE,
    STATUS,
    PID,
    CPU,
    CPU_LIMIT,
    THROTTLED,
    MEMORY,
    MEMORY_LIMIT,
    MEMORY_RATIO,
    IO,
    NETWORK,
    PIDS,
    STARTED,
    COMMAND,
)
