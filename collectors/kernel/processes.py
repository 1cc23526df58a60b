"""Reads every process: /proc/PID/{stat,status,cmdline,cgroup} (proc(5))."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


class CgroupEntry(Struct, frozen=True):
    """One line of /proc/PID/cgroup; version 2's has hierarchy 0 and no controllers."""

    hierarchy: int
    controllers: tuple[str, ...]
    """As `("cpu", "cpuacct")` or `("name=systemd",)`."""
    path: str


class Process(Struct, frozen=True, kw_only=True):
    """One process; identity is `(pid, start_ticks)`, for a pid alone is used again."""

    pid: int
    start_ticks: int
    """Clock ticks after boot."""
    ppid: int
    namespace_pids: tuple[int, ...]
    """NSpid: its pid in the reader's pid namespace, then in each nested one."""
    uid: int
    gid: int
    comm: str
    command: tuple[str, ...]
    """Empty for a kernel thread, a zombie, and one that wiped it."""
    state: str
    threads: int
    utime_ticks: int
    stime_ticks: int
    rss_bytes: int
    kernel_thread: bool
    cgroups: tuple[CgroupEntry, ...]
    cap_inheritable: int
    cap_permitted: int
    cap_effective: int
    cap_bounding: int
    cap_ambient: int
    no_new_privs: bool | None
    seccomp: int | None
    """0 off, 1 strict, 2 filter."""


class ProcessesReading(Struct, frozen=True):
    """Every process at about one moment, by pid."""

    processes: tuple[Process, ...]
    ticks_per_second: int
    own_pid: int
    """The reader's pid as this /proc numbers it; 0 in a recorded tree."""
    problems: tuple[Problem, ...] = ()


KEY = Key("processes", ProcessesReading)


def read(root: Root) -> ProcessesReading:
    """List the processes; one that exits while being read is left out."""
    raise NotImplementedError(root)
