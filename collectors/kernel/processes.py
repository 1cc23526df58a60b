"""Reads every process: /proc/PID/{stat,status,cmdline,cgroup} (proc(5))."""

import os
import resource
from collections.abc import Iterable

from msgspec import Struct

from collectors import procfs
from collectors.collector import Key
from collectors.errors import CollectError, Denied, Gone, Missing, Problem, Problems
from collectors.formats import cmdline, pid_cgroup, pid_stat, pid_status
from collectors.formats.pid_cgroup import CgroupEntry
from collectors.root import Directory, Root
from runtime.errors import FormatError

__all__ = ["KEY", "CgroupEntry", "Process", "ProcessesReading", "read", "read_some"]


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


_PAGE_BYTES = resource.getpagesize()

KEY = Key("processes", ProcessesReading)


def read(root: Root) -> ProcessesReading:
    """List the processes; one that exits while being read is left out.

    Each is read through its open directory, so that a pid that is used again in between mixes
    nothing: what is read is all of one process, or it is left out.
    """
    problems = Problems()
    parsed = _Cgroups(problems)
    processes: list[Process] = []
    for _, directory in procfs.opened(root, problems):
        process = _process(directory, parsed, problems)
        if process is not None:
            processes.append(process)
    return ProcessesReading(
        processes=tuple(processes),
        ticks_per_second=os.sysconf("SC_CLK_TCK"),
        own_pid=procfs.own_pid(root),
        problems=problems.all(),
    )


def read_some(root: Root, pids: Iterable[int]) -> ProcessesReading:
    """Read these processes and their ancestors only; the others are as if they were not there."""
    problems = Problems()
    parsed = _Cgroups(problems)
    processes: dict[int, Process] = {}
    pending = sorted(pids, reverse=True)
    seen = {0, *pending}
    while pending:
        try:
            with root.directory(f"proc/{pending.pop()}") as directory:
                process = _process(directory, parsed, problems)
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
            continue
        if process is not None:
            processes[process.pid] = process
            if process.ppid not in seen:
                seen.add(process.ppid)
                pending.append(process.ppid)
    return ProcessesReading(
        processes=tuple(processes[pid] for pid in sorted(processes)),
        ticks_per_second=os.sysconf("SC_CLK_TCK"),
        own_pid=procfs.own_pid(root),
        problems=problems.all(),
    )


def _process(directory: Directory, parsed: "_Cgroups", problems: Problems) -> Process | None:
    file = "stat"
    try:
        stat = pid_stat.parse(directory.read(file))
        file = "status"
        status = pid_status.parse(directory.read(file))
        command = () if stat.kernel_thread else _command(directory, problems)
        cgroups = parsed.read(directory)
    except (Missing, Gone):
        return None
    except CollectError as error:
        problems.failed(error)
        return None
    except FormatError as error:
        procfs.malformed(directory, file, error, problems)
        return None
    return _record(stat, status, command=command, cgroups=cgroups)


def _record(
    stat: pid_stat.PidStat,
    status: pid_status.PidStatus,
    *,
    command: tuple[str, ...],
    cgroups: tuple[CgroupEntry, ...],
) -> Process:
    return Process(
        pid=stat.pid,
        start_ticks=stat.start_ticks,
        ppid=stat.ppid,
        namespace_pids=status.namespace_pids or (stat.pid,),
        uid=status.uid,
        gid=status.gid,
        comm=stat.comm,
        command=command,
        state=stat.state,
        threads=stat.threads,
        utime_ticks=stat.utime_ticks,
        stime_ticks=stat.stime_ticks,
        rss_bytes=stat.rss_pages * _PAGE_BYTES,
        kernel_thread=stat.kernel_thread,
        cgroups=cgroups,
        cap_inheritable=status.cap_inheritable,
        cap_permitted=status.cap_permitted,
        cap_effective=status.cap_effective,
        cap_bounding=status.cap_bounding,
        cap_ambient=status.cap_ambient,
        no_new_privs=status.no_new_privs,
        seccomp=status.seccomp,
    )


def _command(directory: Directory, problems: Problems) -> tuple[str, ...]:
    """Return the arguments; a kernel that will not show them costs no more than them."""
    try:
        return cmdline.parse(directory.read("cmdline"))
    except Denied as error:
        problems.failed(error)
        return ()


class _Cgroups:
    """Reads /proc/PID/cgroup; most processes of a host share a few texts, each is parsed once."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._known: dict[bytes, tuple[CgroupEntry, ...]] = {}

    def read(self, directory: Directory) -> tuple[CgroupEntry, ...]:
        """Return its cgroups; none where the kernel was built without, which is told from an exit."""
        try:
            data = directory.read("cgroup")
            entries = self._known.get(data)
            if entries is None:
                entries = self._known[data] = pid_cgroup.parse(data)
        except Missing:
            directory.read("stat")
        except FormatError as error:
            procfs.malformed(directory, "cgroup", error, self._problems)
        except Denied as error:
            self._problems.failed(error)
        else:
            return entries
        return ()
