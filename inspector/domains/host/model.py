"""The host, as the dump shows it."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct


class CgroupHierarchy(Struct, frozen=True):
    """One mounted hierarchy."""

    version: Literal[1, 2]
    mountpoint: str
    controllers: tuple[str, ...]


class HostCgroup(Struct, frozen=True):
    """How cgroups are mounted."""

    mode: Literal["v1", "hybrid", "unified"]
    hierarchies: tuple[CgroupHierarchy, ...]


class Host(Struct, frozen=True, kw_only=True):
    """The host's summary; a value that could not be read is null, and in `errors`."""

    hostname: str | None
    kernel: str | None
    boot_id: str | None
    uptime_seconds: float | None
    cpus: int | None
    memory_bytes: int | None
    memory_available_bytes: int | None
    cpu_busy_cores: float | None
    """Needs two samples."""
    os: str | None
    cgroup: HostCgroup | None
    init_namespaces: Mapping[str, int | None]
    """Inodes of pid 1's namespaces by type."""
