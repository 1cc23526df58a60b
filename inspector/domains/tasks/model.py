"""What a container's processes hold, as the dump shows it where the section `tasks` was asked for."""

from collections.abc import Mapping

from msgspec import Struct


class Fullest(Struct, frozen=True):
    """The process that is nearest to its limit of open files."""

    pid: int
    descriptors: int
    limit: int


class Filesystem(Struct, frozen=True, kw_only=True):
    """What is left of the filesystem that the container's root is on; an overlay's upper one's."""

    size_bytes: int
    free_bytes: int
    available_bytes: int
    """To who is not root."""
    inodes: int
    """0 where it makes them as they are needed."""
    inodes_free: int


class Tasks(Struct, frozen=True, kw_only=True):
    """Sums over a container's processes; what could not be read of all of them is null."""

    container: str
    processes: int
    threads: int
    states: Mapping[str, int]
    """Processes by what their first thread does: `running`, `sleeping`, `disk_sleep`, `stopped`…"""
    descriptors: int | None
    sockets: int | None
    run_usec: int | None
    """On a processor: of first threads, since each began; of those that ended nothing is left."""
    wait_usec: int | None
    """Ready to run, but others had the processor."""
    timeslices: int | None
    open_files_limit: int | None
    """The soft limit of the first process; null: unlimited or not known."""
    processes_limit: int | None
    fullest: Fullest | None
    filesystem: Filesystem | None = None
    """Null where it is another host's, or a process's (FUSE): asking could take for ever."""
