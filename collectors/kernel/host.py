"""Reads what the host is: name, kernel, boot id, memory, cpus, distribution."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


class HostReading(Struct, frozen=True, kw_only=True):
    """The host's summary."""

    hostname: str
    kernel: str
    boot_id: str | None
    uptime_seconds: float
    booted_at: float
    """Seconds since the epoch, for start times counted in ticks after boot."""
    cpus: int
    memory_bytes: int
    memory_available_bytes: int | None
    cpu_busy_ticks: int
    """All cpus' busy time since boot, from /proc/stat."""
    os: str | None
    """PRETTY_NAME of os-release."""
    problems: tuple[Problem, ...] = ()


KEY = Key("host", HostReading)


def read(root: Root) -> HostReading:
    """Read the summary."""
    raise NotImplementedError(root)
