"""Reads what the host is: name, kernel, boot id, memory, cpus, distribution."""

import os
from typing import NamedTuple

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Missing, Problem, Problems
from collectors.formats import meminfo, os_release, system_stat, uptime
from collectors.root import Root
from runtime.errors import FormatError
from runtime.formats import text


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
    """Read the summary; raise as `Root.read` does where /proc itself cannot be read."""
    problems = Problems()
    told = _psutil_numbers() if root.live else _numbers(root)
    try:
        uptime_seconds = uptime.parse(root.read("proc/uptime"))
    except FormatError as error:
        raise CollectError("/proc/uptime", "parse", str(error)) from error
    return HostReading(
        hostname=_hostname(root),
        kernel=_line(root, "proc/sys/kernel/osrelease", problems) or "",
        boot_id=_line(root, "proc/sys/kernel/random/boot_id", problems),
        uptime_seconds=uptime_seconds,
        booted_at=told.booted_at,
        cpus=told.cpus,
        memory_bytes=told.memory_bytes,
        memory_available_bytes=told.memory_available_bytes,
        cpu_busy_ticks=told.cpu_busy_ticks,
        os=_os(root, problems),
        problems=problems.all(),
    )


class _Numbers(NamedTuple):
    booted_at: float
    cpus: int
    cpu_busy_ticks: int
    memory_bytes: int
    memory_available_bytes: int | None


def _psutil_numbers() -> _Numbers:
    """Ask psutil, which knows what older kernels leave out, as MemAvailable."""
    import psutil  # noqa: PLC0415 - 20 ms that only this reading needs

    times = psutil.cpu_times()
    memory = psutil.virtual_memory()
    busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return _Numbers(
        booted_at=psutil.boot_time(),
        cpus=psutil.cpu_count() or 1,
        cpu_busy_ticks=round(busy * os.sysconf("SC_CLK_TCK")),
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
    )


def _numbers(root: Root) -> _Numbers:
    """Read the same numbers of another root."""
    name = "proc/stat"
    try:
        stat = system_stat.parse(root.read(name))
        name = "proc/meminfo"
        memory = meminfo.parse(root.read(name))
    except FormatError as error:
        raise CollectError(f"/{name}", "parse", str(error)) from error
    if "MemTotal" not in memory:
        raise CollectError("/proc/meminfo", "parse", "no MemTotal")
    return _Numbers(
        booted_at=float(stat.booted_at),
        cpus=stat.cpus,
        cpu_busy_ticks=stat.cpu_busy_ticks,
        memory_bytes=memory["MemTotal"],
        memory_available_bytes=memory.get("MemAvailable"),
    )


def _hostname(root: Root) -> str:
    """Return the reader's own on the live host; of another root its file's first.

    /proc/sys shows each reader the hostname of its own UTS namespace, whoever's /proc it is.
    """
    names = ("proc/sys/kernel/hostname", "etc/hostname")
    quiet = Problems()
    for name in names if root.live else reversed(names):
        hostname = _line(root, name, quiet)
        if hostname:
            return hostname
    return ""


def _line(root: Root, name: str, problems: Problems) -> str | None:
    try:
        return text.decode(root.read(name)).strip()
    except CollectError as error:
        problems.failed(error)
        return None


def _os(root: Root, problems: Problems) -> str | None:
    """Return the distribution's own name for itself; None where it has none."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            return os_release.parse(root.read(name)).get("PRETTY_NAME")
        except Missing:
            continue
        except CollectError as error:
            problems.failed(error)
        except FormatError as error:
            problems.malformed(f"/{name}", error)
    return None
