"""/proc/stat (proc_stat(5)): the cpus' time and when the host was booted."""

from typing import NamedTuple

from runtime.errors import FormatError


class SystemStat(NamedTuple):
    """Of the whole host."""

    cpus: int
    """Online ones."""
    cpu_busy_ticks: int
    """Of all cpus since boot: all but idle and iowait. A guest's time is in user's already."""
    booted_at: int
    """Seconds since the epoch."""


def parse(data: bytes) -> SystemStat:
    """Return the summary; raise `FormatError` where a line that every kernel prints is missing."""
    cpus, busy, booted = 0, None, None
    try:
        for line in data.splitlines():
            key, _, rest = line.partition(b" ")
            if key == b"cpu":
                busy = _busy([int(field) for field in rest.split()])
            elif key.startswith(b"cpu"):
                cpus += 1
            elif key == b"btime":
                booted = int(rest)
    except ValueError:
        raise FormatError(f"not /proc/stat: {data[:80]!r}") from None
    if busy is None or booted is None or cpus == 0:
        raise FormatError(f"not /proc/stat: {data[:80]!r}")
    return SystemStat(cpus, busy, booted)


def _busy(ticks: list[int]) -> int:
    """user nice system idle iowait irq softirq steal guest guest_nice: idle and iowait left out."""
    return sum(ticks[:3]) + sum(ticks[5:8])
