"""What is read of a cgroup: the records that version 1 and version 2 share."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol

from msgspec import Struct

from collectors.formats.io_device import IoDevice
from collectors.formats.pressure import Pressure


class Hierarchy(Struct, frozen=True, gc=False):
    """One mounted cgroup hierarchy."""

    version: Literal[1, 2]
    mountpoint: str
    controllers: tuple[str, ...]
    """v1: as mounted, `("cpu", "cpuacct")` or `("name=systemd",)`; v2: cgroup.controllers of the root."""
    root: str
    """The path within the hierarchy that is mounted: `/` unless seen from a container."""


class Cpu(Struct, frozen=True, kw_only=True, gc=False):
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
    bursts: int | None = None
    """Periods in which more than the quota was used, out of what was saved (cpu.max.burst)."""
    burst_usec: int | None = None


class Memory(Struct, frozen=True, kw_only=True, gc=False):
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
    hierarchical_limit_bytes: int | None = None
    """v1: the smallest limit of its own and of those above that count what is in it."""
    oom_kills: int | None = None
    events: Mapping[str, int] = {}
    stat: Mapping[str, int] = {}
    """memory.stat with version 2's names, what is below counted too: bytes, and counts of pages."""


class Pids(Struct, frozen=True, gc=False):
    """Tasks, threads included."""

    current: int | None
    limit: int | None


class Cgroup(Struct, frozen=True, kw_only=True, gc=False):
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


class Change(Struct, frozen=True, gc=False):
    """Something that was done to a cgroup from user space between two readings."""

    kind: Literal["made", "removed", "written"]
    mountpoint: str
    path: str
    """Of the cgroup, below the mountpoint."""
    file: str | None = None
    """What was written: a limit, or the list of processes that another was moved into."""


class Hugetlb(Struct, frozen=True, kw_only=True, gc=False):
    """Huge pages of one size, in bytes (hugetlb.rst)."""

    current_bytes: int | None
    limit_bytes: int | None
    peak_bytes: int | None = None
    failures: int | None = None
    """How often the limit was hit."""
    reserved_bytes: int | None = None
    """Set aside by mmap(2), touched or not."""
    reserved_limit_bytes: int | None = None


class Cpuset(Struct, frozen=True, kw_only=True):
    """Where it may run and have its memory (cpuset.rst): lists as `0-3,8`."""

    cpus: str | None = None
    """Asked for; None: nothing, it has what the one above has."""
    mems: str | None = None
    effective_cpus: str | None = None
    effective_mems: str | None = None
    partition: str | None = None
    """v2: `member`, `root`, `isolated`, and why it is invalid."""
    memory_migrate: bool | None = None
    """v1: whether pages follow when `mems` changes."""


class IoLimit(Struct, frozen=True, kw_only=True):
    """What it may do on one block device, a second; None: no limit of its own."""

    read_bytes: int | None = None
    write_bytes: int | None = None
    read_ops: int | None = None
    write_ops: int | None = None


class Counted(Struct, frozen=True, gc=False):
    """A resource that is counted in units of its own: those of rdma and misc."""

    current: int | None
    limit: int | None


class Depth(Struct, frozen=True, kw_only=True, gc=False):
    """What a cgroup says besides; None where it has no such file."""

    type: str | None = None
    """`domain`, `threaded`, `domain threaded`, `domain invalid`."""
    subtree_control: tuple[str, ...] | None = None
    descendants: int | None = None
    dying_descendants: int | None = None
    """Removed ones that the kernel still keeps, for something is charged to them."""
    descendants_limit: int | None = None
    depth_limit: int | None = None
    cpu_burst_limit_usec: int | None = None
    cpu_idle: bool | None = None
    cpu_throttled_local_usec: int | None = None
    """How long its own tasks were held back, whosever quota it was (cpu.stat.local)."""
    cpu_usage_percpu_usec: tuple[int, ...] | None = None
    """v1: by processor; version 2 does not tell."""
    cpuset: Cpuset | None = None
    memory_min_bytes: int | None = None
    memory_low_bytes: int | None = None
    memory_soft_limit_bytes: int | None = None
    """v1: what it is pressed back to when memory is short; None: no limit."""
    memory_oom_group: bool | None = None
    memory_events_local: Mapping[str, int] | None = None
    zswap_bytes: int | None = None
    zswap_limit_bytes: int | None = None
    zswap_writeback: bool | None = None
    swap_peak_bytes: int | None = None
    swap_high_bytes: int | None = None
    swap_events: Mapping[str, int] | None = None
    tcp_bytes: int | None = None
    """v1: what sockets take; in version 2 `sock` of memory.stat."""
    swappiness: int | None = None
    """v1: 0 to 200."""
    pids_peak: int | None = None
    pids_events: Mapping[str, int] | None = None
    hugetlb: Mapping[str, Hugetlb] = {}
    """By the size of the pages, as `2MB`; those that are neither limited nor used are left out."""
    rdma: Mapping[str, Mapping[str, Counted]] = {}
    """By device, then by resource."""
    misc: Mapping[str, Counted] = {}
    io_weight: int | None = None
    io_limits: Mapping[str, IoLimit] = {}
    """By device, those that have any."""
    numa: Mapping[str, Mapping[str, int]] = {}
    """memory.numa_stat, by what is counted and node; only where there are several nodes."""


class Activity(Protocol):
    """What is known of where processes ran, came and went since the frame before.

    A cgroup is named by its hierarchy's controllers, none of version 2, and its path.
    """

    @property
    def stirred(self) -> AbstractSet[tuple[frozenset[str], str]]:
        """The cgroups in which, or below which, one ran, came or went."""
        ...

    def members(self, cgroup: tuple[frozenset[str], str]) -> int:
        """Return how many are known to be in a cgroup itself."""
        ...
