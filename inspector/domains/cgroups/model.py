"""Resources of a cgroup or a container, as the dump shows them."""

from collections.abc import Mapping
from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class Cpu(Struct, frozen=True, kw_only=True, gc=False):
    """`busy_cores` is usage over time between two samples; `limit_cores` is the one that binds."""

    usage_usec: int | None
    user_usec: int | None
    system_usec: int | None
    busy_cores: float | None
    limit_cores: float | None
    limited_by: str | None
    """The cgroup, its own or an ancestor's, whose limit binds."""
    shares: int | None
    weight: int | None
    cpuset: str | None
    periods: int | None
    throttled_periods: int | None
    throttled_usec: int | None
    throttled_ratio: float | None
    """Throttled periods over periods since the sample before."""
    bursts: int | None = None
    """Periods that used more than the quota, out of what was saved before."""
    burst_usec: int | None = None
    user_cores: float | None = None
    system_cores: float | None = None
    periods_per_second: float | None = None
    throttled_periods_per_second: float | None = None
    throttled_usec_per_second: float | None = None
    """Summed over processors and tasks: more than a million is possible."""
    quota_usec: int | UnsetType | None = UNSET
    """Its own; `limit_cores` is the one that binds."""
    period_usec: int | UnsetType | None = UNSET
    throttled_local_usec: int | UnsetType | None = UNSET
    """How long its own tasks were held back, whosever quota it was (cpu.stat.local)."""
    usage_percpu_usec: tuple[int, ...] | UnsetType | None = UNSET
    """v1: by processor; version 2 does not tell."""
    burst_limit_usec: int | UnsetType | None = UNSET
    idle: bool | UnsetType | None = UNSET
    """Whether it runs only when nobody else wants to (cpu.idle)."""


class Memory(Struct, frozen=True, kw_only=True, gc=False):
    """`working_set_bytes` is current - inactive_file, as `docker stats` and Kubernetes have it."""

    current_bytes: int | None
    working_set_bytes: int | None
    anon_bytes: int | None
    file_bytes: int | None
    kernel_bytes: int | None
    swap_bytes: int | None
    peak_bytes: int | None
    limit_bytes: int | None
    limited_by: str | None
    oom_kills: int | None
    events: Mapping[str, int]
    high_bytes: int | None = None
    """The memory.high that binds: above it, it is slowed and its pages are taken."""
    high_limited_by: str | None = None
    swap_limit_bytes: int | None = None
    swap_limited_by: str | None = None
    stat: Mapping[str, int] = {}
    """memory.stat by version 2's names: sizes end in `_bytes`, the others count pages and faults."""
    per_second: Mapping[str, float] = {}
    """The counts of `stat` that grew since the sample before, a second."""
    own_limit_bytes: int | UnsetType | None = UNSET
    """As it is written in the cgroup itself, like the next two: what binds may be another's."""
    own_high_bytes: int | UnsetType | None = UNSET
    own_swap_limit_bytes: int | UnsetType | None = UNSET
    min_bytes: int | UnsetType | None = UNSET
    low_bytes: int | UnsetType | None = UNSET
    effective_min_bytes: int | UnsetType | None = UNSET
    """What is protected at most: the least of its own and those above (cgroup-v2.rst, memory.min)."""
    min_limited_by: str | UnsetType | None = UNSET
    effective_low_bytes: int | UnsetType | None = UNSET
    low_limited_by: str | UnsetType | None = UNSET
    oom_kills_below: int | UnsetType | None = UNSET
    """Kills in the cgroups below that are there."""
    oom_kills_gone: int | UnsetType | None = UNSET
    """Kills in cgroups below that have been removed since; only version 2 remembers them."""
    soft_limit_bytes: int | UnsetType | None = UNSET
    oom_group: bool | UnsetType | None = UNSET
    events_local: Mapping[str, int] | UnsetType | None = UNSET
    """What happened in the cgroup itself, not below."""
    zswap_bytes: int | UnsetType | None = UNSET
    zswap_limit_bytes: int | UnsetType | None = UNSET
    zswap_writeback: bool | UnsetType | None = UNSET
    swap_peak_bytes: int | UnsetType | None = UNSET
    swap_high_bytes: int | UnsetType | None = UNSET
    swap_events: Mapping[str, int] | UnsetType | None = UNSET
    tcp_bytes: int | UnsetType | None = UNSET
    """v1: what sockets take; in version 2 `stat.sock_bytes`."""
    swappiness: int | UnsetType | None = UNSET
    numa: Mapping[str, Mapping[str, int]] | UnsetType = UNSET
    """memory.numa_stat by what is counted and node, on a host of several nodes."""


class IoDevice(Struct, frozen=True, kw_only=True, gc=False):
    """One block device's share."""

    device: str
    name: str | None
    read_bytes: int
    write_bytes: int
    read_ops: int
    write_ops: int
    read_bytes_per_second: float | None
    write_bytes_per_second: float | None
    read_ops_per_second: float | None = None
    write_ops_per_second: float | None = None
    discard_bytes: int = 0
    discard_ops: int = 0
    cost: Mapping[str, int] = {}
    """The cost model's: `usage`, `wait`, `indebt`, `indelay`, in microseconds of the device."""
    discard_bytes_per_second: float | None = None
    discard_ops_per_second: float | None = None
    cost_ratios: Mapping[str, float] = {}
    """The same as shares of the time since the sample before; `usage` of the device's whole capacity."""


class IoLimit(Struct, frozen=True, kw_only=True, gc=False):
    """What it may do on one device, a second, and the cgroup that says so; null: no limit."""

    device: str
    name: str | None
    read_bytes: int | None
    read_bytes_limited_by: str | None
    write_bytes: int | None
    write_bytes_limited_by: str | None
    read_ops: int | None
    read_ops_limited_by: str | None
    write_ops: int | None
    write_ops_limited_by: str | None


class Io(Struct, frozen=True, gc=False):
    """By device, in the order of their numbers."""

    devices: tuple[IoDevice, ...]
    weight: int | UnsetType | None = UNSET
    """Its share where others want the device too."""
    limits: tuple[IoLimit, ...] | UnsetType = UNSET
    """io.max, the smallest of each of its own and those above; devices without any are left out."""


class Cpuset(Struct, frozen=True, kw_only=True, gc=False):
    """Where it may run and have its memory; lists as `0-3,8`."""

    cpus: str | None
    """Asked for by itself; null: nothing."""
    mems: str | None
    effective_cpus: str | None
    effective_mems: str | None
    cpus_limited_by: str | None
    """The nearest cgroup, its own or one above, that has fewer than the one above it."""
    mems_limited_by: str | None
    partition: str | None
    memory_migrate: bool | None


class Pids(Struct, frozen=True, gc=False):
    """Tasks, threads included."""

    current: int | None
    limit: int | None
    limited_by: str | None
    peak: int | UnsetType | None = UNSET
    events: Mapping[str, int] | UnsetType | None = UNSET
    """`max`: how often a fork was refused."""


class Hugetlb(Struct, frozen=True, kw_only=True, gc=False):
    """Huge pages of one size."""

    current_bytes: int | None
    limit_bytes: int | None
    peak_bytes: int | None
    failures: int | None
    """How often the limit was hit."""
    effective_limit_bytes: int | None = None
    """The smallest of its own and those above."""
    limited_by: str | None = None
    reserved_bytes: int | None = None
    """Set aside by mmap(2), touched or not."""
    reserved_limit_bytes: int | None = None


class Counted(Struct, frozen=True, gc=False):
    """A resource in units of its own; a limit that is null is none."""

    current: int | None
    limit: int | None


class PressureLine(Struct, frozen=True, gc=False):
    """Shares of time, 0 to 1, and stalled microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total_usec: int
    ratio: float | None = None
    """Share of the time since the sample before, of `total_usec`."""


class Pressure(Struct, frozen=True, gc=False):
    """Some: at least one task was stalled; full: all were."""

    some: PressureLine | None
    full: PressureLine | None


Severity = Literal["notice", "warning", "critical"]


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """Something that is wrong, for people and for programs."""

    kind: str
    """`cpu_throttled`, `memory_near_limit`, `oom_kill`…: docs/resources.md lists them."""
    severity: Severity
    cgroup: str
    """Whose limit, count or pressure it is: its own, or an ancestor's."""
    sentence: str
    """As `verdicts` has it."""
    numbers: Mapping[str, float]
    window_seconds: float | None
    """The time that growth was counted over; null: since the sample before, or it is so now."""


class Cgroup(Struct, frozen=True, kw_only=True, gc=False):
    """One cgroup of one hierarchy; a group the hierarchy does not have is null."""

    path: str
    hierarchy: str
    """Joined v1 controllers, as `cpu,cpuacct`; empty for v2."""
    inode: int
    controllers: tuple[str, ...]
    populated: bool | None
    frozen: bool | None
    processes: int | None
    container: str | None
    """Id of the container whose processes are in it."""
    cpu: Cpu | None
    memory: Memory | None
    io: Io | None
    pids: Pids | None
    pressure: Mapping[str, Pressure] | None
    recreated: bool = False
    """The sample before had another cgroup at its path: it has no rates yet."""
    cpuset: Cpuset | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    """`domain`, `threaded`, `domain threaded`, `domain invalid`; v2 only."""
    subtree_control: tuple[str, ...] | UnsetType | None = UNSET
    descendants: int | UnsetType | None = UNSET
    dying_descendants: int | UnsetType | None = UNSET
    """Removed ones that the kernel still keeps, for something is charged to them."""
    descendants_limit: int | UnsetType | None = UNSET
    depth_limit: int | UnsetType | None = UNSET
    """How many cgroups there may be below it, and how deep."""
    hugetlb: Mapping[str, Hugetlb] | UnsetType = UNSET
    """By the size of the pages; those neither limited nor used are left out."""
    rdma: Mapping[str, Mapping[str, Counted]] | UnsetType = UNSET
    misc: Mapping[str, Counted] | UnsetType = UNSET
    verdicts: tuple[str, ...] = ()
    """What is wrong with it, in plain sentences."""
    findings: tuple[Finding, ...] = ()
    """The same with their numbers."""
