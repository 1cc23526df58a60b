"""Resources of a cgroup or a container, as the dump shows them."""

from collections.abc import Mapping

from msgspec import Struct


class Cpu(Struct, frozen=True, kw_only=True):
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


class Memory(Struct, frozen=True, kw_only=True):
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


class IoDevice(Struct, frozen=True, kw_only=True):
    """One block device's share."""

    device: str
    name: str | None
    read_bytes: int
    write_bytes: int
    read_ops: int
    write_ops: int
    read_bytes_per_second: float | None
    write_bytes_per_second: float | None


class Io(Struct, frozen=True):
    """By device, in the order of their numbers."""

    devices: tuple[IoDevice, ...]


class Pids(Struct, frozen=True):
    """Tasks, threads included."""

    current: int | None
    limit: int | None
    limited_by: str | None


class PressureLine(Struct, frozen=True):
    """Shares of time, 0 to 1, and stalled microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total_usec: int


class Pressure(Struct, frozen=True):
    """Some: at least one task was stalled; full: all were."""

    some: PressureLine | None
    full: PressureLine | None


class Cgroup(Struct, frozen=True, kw_only=True):
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
