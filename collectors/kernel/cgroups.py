"""Reads every cgroup's files, in every hierarchy: v1, hybrid and v2 (cgroups(7), cgroup-v2.rst)."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


class Hierarchy(Struct, frozen=True):
    """One mounted cgroup hierarchy."""

    version: Literal[1, 2]
    mountpoint: str
    controllers: tuple[str, ...]
    """v1: as mounted, `("cpu", "cpuacct")` or `("name=systemd",)`; v2: cgroup.controllers of the root."""
    root: str
    """The path within the hierarchy that is mounted: `/` unless seen from a container."""


class Cpu(Struct, frozen=True, kw_only=True):
    """Microseconds; v1's nanoseconds are divided. Quota over period is the limit in cores."""

    usage_usec: int | None = None
    user_usec: int | None = None
    system_usec: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_usec: int | None = None
    quota_usec: int | None = None
    """None: no limit of its own."""
    period_usec: int | None = None
    shares: int | None = None
    weight: int | None = None


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes. A limit that is None is "no limit of its own"."""

    current_bytes: int | None = None
    anon_bytes: int | None = None
    file_bytes: int | None = None
    inactive_file_bytes: int | None = None
    """What the working set leaves out: current - inactive_file (v1: total_inactive_file)."""
    kernel_bytes: int | None = None
    swap_bytes: int | None = None
    peak_bytes: int | None = None
    limit_bytes: int | None = None
    high_bytes: int | None = None
    swap_limit_bytes: int | None = None
    oom_kills: int | None = None
    events: Mapping[str, int] = {}


class IoDevice(Struct, frozen=True):
    """One device's counters since the cgroup was made."""

    device: str
    """`major:minor`."""
    read_bytes: int
    write_bytes: int
    read_ops: int
    write_ops: int


class Pids(Struct, frozen=True):
    """Tasks, threads included."""

    current: int | None
    limit: int | None


class PressureLine(Struct, frozen=True):
    """Percentages as the kernel prints them, and stalled microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total_usec: int


class Pressure(Struct, frozen=True):
    """One PSI file (psi.rst)."""

    some: PressureLine | None
    full: PressureLine | None


class Cgroup(Struct, frozen=True, kw_only=True):
    """One cgroup of one hierarchy; a group that a v1 hierarchy cannot tell is None."""

    hierarchy: str
    """Joined controllers as in /proc/PID/cgroup, `cpu,cpuacct`; `` for v2."""
    path: str
    """Below the hierarchy's mounted root, beginning with `/`."""
    inode: int
    controllers: tuple[str, ...]
    processes: int | None
    """How many are in it itself, not below."""
    populated: bool | None
    frozen: bool | None
    cpu: Cpu | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    memory: Memory | None = None
    io: tuple[IoDevice, ...] | None = None
    pids: Pids | None = None
    pressure: Mapping[str, Pressure] | None = None
    """By `cpu`, `memory`, `io`."""


class CgroupsReading(Struct, frozen=True):
    """Every cgroup of every hierarchy."""

    mode: Literal["v1", "hybrid", "unified"]
    hierarchies: tuple[Hierarchy, ...]
    cgroups: tuple[Cgroup, ...]
    device_names: Mapping[str, str]
    """From `major:minor` to the kernel's name of the block device."""
    problems: tuple[Problem, ...] = ()


KEY = Key("cgroups", CgroupsReading)


def read(root: Root) -> CgroupsReading:
    """Walk the hierarchies; a cgroup that goes away while being read is left out."""
    raise NotImplementedError(root)
