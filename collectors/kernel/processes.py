"""Reads every process: /proc/PID/{stat,status,cmdline,cgroup} (proc(5))."""

import os
import resource
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from collectors import procfs
from collectors.bpf import tasks as tokens
from collectors.collector import Key
from collectors.errors import CollectError, Denied, Gone, Missing, Problem, Problems
from collectors.formats import cmdline, pid_cgroup, pid_stat, pid_status
from collectors.formats.pid_cgroup import CgroupEntry
from collectors.root import Directory, Root
from collectors.table import Entry, Table
from runtime.errors import FormatError
from runtime.formats.capabilities import NAMES as CAPABILITIES

if TYPE_CHECKING:
    from collectors.bpf.details import Detail

__all__ = [
    "CAPABILITIES",
    "KEY",
    "CgroupEntry",
    "Process",
    "ProcessesReading",
    "Reader",
    "read",
    "read_some",
]


class Process(Struct, frozen=True, kw_only=True, gc=False):
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
_CROWD = 200
"""From so many processes on the iterator over their details is worth its reading."""
_TEXTS = 4_000
"""So many different texts are remembered."""

KEY = Key("processes", ProcessesReading)


def read(root: Root) -> ProcessesReading:
    """List the processes, all in full; one that exits while being read is left out."""
    return Reader().read(root)


class Reader:
    """Reads again and again: what a process is only where it can have changed, counters where it ran.

    Each is read through its open directory, so that a pid that is used again in between mixes
    nothing: what is read is all of one process, or it is left out. How late a change may be seen
    is said by `collectors.table.Table`.
    """

    def __init__(self, table: Table | None = None) -> None:
        """Read those of a table, which other collectors may share."""
        self._table = table or Table()
        self._parsed = _Cgroups()
        self._walk = 0
        """The newest that was read to its end."""
        self._found: dict[int, Process] = {}
        self._processes: tuple[Process, ...] = ()
        self._failed: dict[int, tuple[Problem, ...]] = {}

    def read(self, root: Root) -> ProcessesReading:
        """Return every process; raise as `Root.names` does."""
        problems = Problems()
        entries = self._table.view(root, KEY.name)
        walk, numbers = self._table.walk, self._table.numbers
        procfs.limits(root, numbers, problems)
        touched = self._table.touched(self._walk)
        if touched is None:
            touched = entries
            self._found.clear()
            self._failed.clear()
        else:
            for pid in (self._found.keys() | self._failed).difference(numbers):
                self._found.pop(pid, None)
                self._failed.pop(pid, None)
        changed = self._take(root, touched)
        if changed or len(self._found) != len(self._processes):
            self._processes = tuple(self._found[pid] for pid in sorted(self._found))
        self._walk = walk
        for pid in sorted(self._failed):
            for problem in self._failed[pid]:
                problems.add(problem)
        return ProcessesReading(
            processes=self._processes,
            ticks_per_second=os.sysconf("SC_CLK_TCK"),
            own_pid=procfs.own_pid(root),
            problems=problems.all(),
        )

    def _take(self, root: Root, touched: Sequence[Entry]) -> bool:
        """Read those that can have changed; return whether any is another record than before."""
        self._read_many(root, [one for one in touched if _due(one)])
        changed = False
        for entry in touched:
            seen: _Seen | None = entry.kept.get(KEY.name)
            if seen is None or seen.walk < entry.version:
                seen = self._read(root, entry)
            elif seen.walk < entry.counted or seen.walk < entry.moved:
                seen = self._refreshed(root, entry, seen)
            pid, process = entry.pid, seen.process
            if self._found.get(pid) is not process:
                changed = True
                if process is None:
                    del self._found[pid]
                else:
                    self._found[pid] = process
            if seen.problems:
                self._failed[pid] = seen.problems
            elif self._failed:
                self._failed.pop(pid, None)
        return changed

    def _read_many(self, root: Root, due: Sequence[Entry]) -> None:
        """Read those of them of which the iterator tells what their files would, where they are many.

        Their command lines, and one text for each set of cgroups, are read before: what is told
        afterwards of a process that is still in the same place, with the same program, is of the
        one that they were read of. All others are left to be read by their files.
        """
        if len(due) < _CROWD or not self._table.tells:
            return
        places: dict[bytes, tuple[Entry, tuple[CgroupEntry, ...]]] = {}
        commands: dict[int, tuple[str, ...]] = {}
        for entry in due:
            try:
                commands[entry.pid] = cmdline.parse(root.told(f"proc/{entry.pid}/cmdline"))
                place = (entry.token or b"")[tokens.PLACE]
                if place not in places:
                    data = root.read(f"proc/{entry.pid}/cgroup")
                    places[place] = entry, self._parsed.parse(data)
            except (CollectError, FormatError):
                continue  # it is read by its files, and what is wrong is said there
        details = self._table.details() or {}
        still = {
            place: cgroups
            for place, (entry, cgroups) in places.items()
            if entry.pid in details and _same(entry, details[entry.pid])
        }
        for entry in due:
            one, command = details.get(entry.pid), commands.get(entry.pid)
            if one is None or command is None or not _same(entry, one):
                continue
            cgroups = still.get(one.identity[tokens.PLACE])
            stat = one.stat if one.timed else _timed(root, entry)
            if cgroups is not None and stat is not None and entry.identify(stat):
                process = _record(stat, one.status, command=command, cgroups=cgroups)
                entry.kept[KEY.name] = _Seen(self._table.walk, process, ())

    def _read(self, root: Root, entry: Entry) -> "_Seen":
        problems = Problems()
        process = None
        try:
            with root.directory(f"proc/{entry.pid}") as directory:
                process = _process(directory, self._parsed, problems, entry)
        except (Missing, Gone):
            pass
        except CollectError as error:
            problems.failed(error)
        said = problems.all()
        if process is None and not said:
            self._table.forget(entry)
        seen = _Seen(self._table.walk, process, said)
        entry.kept[KEY.name] = seen
        return seen

    def _refreshed(self, root: Root, entry: Entry, seen: "_Seen") -> "_Seen":
        """Return the same process with its counters, and its cgroups, as they are now."""
        process, stat = seen.process, entry.stat
        if process is None or stat is None:
            return seen
        cgroups = process.cgroups
        if seen.walk < entry.moved:
            try:
                with root.directory(f"proc/{entry.pid}") as directory:
                    cgroups = self._parsed.read(directory, Problems())
            except CollectError:
                return seen
        changed = _counted(process, stat, cgroups)
        seen = _Seen(self._table.walk, changed, seen.problems)
        entry.kept[KEY.name] = seen
        return seen


def _due(entry: Entry) -> bool:
    seen: _Seen | None = entry.kept.get(KEY.name)
    return seen is None or seen.walk < entry.version


def _same(entry: Entry, told: "Detail") -> bool:
    """Return whether what was told is of the process, program and cgroups that the walk met."""
    return (entry.token or b"")[tokens.IDENTITY] == told.identity


def _timed(root: Root, entry: Entry) -> pid_stat.PidStat | None:
    """Return what the file says, of a process of several threads; None where it is over."""
    try:
        stat = pid_stat.parse(root.read(f"proc/{entry.pid}/stat"))
    except (CollectError, FormatError):
        return None
    return stat if tokens.start_ticks(entry.token or b"") == stat.start_ticks else None


class _Seen(NamedTuple):
    walk: int
    process: Process | None
    problems: tuple[Problem, ...]


def _counted(process: Process, stat: pid_stat.PidStat, cgroups: tuple[CgroupEntry, ...]) -> Process:
    """Return the process with other counters: the same record where they are as they were."""
    now = structs.replace(
        process,
        ppid=stat.ppid,
        state=stat.state,
        threads=stat.threads,
        utime_ticks=stat.utime_ticks,
        stime_ticks=stat.stime_ticks,
        rss_bytes=stat.rss_pages * _PAGE_BYTES,
        cgroups=cgroups,
    )
    return process if now == process and cgroups is process.cgroups else now


def read_some(root: Root, pids: Iterable[int]) -> ProcessesReading:
    """Read these processes and their ancestors only; the others are as if they were not there."""
    problems = Problems()
    parsed = _Cgroups()
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


def _process(
    directory: Directory, parsed: "_Cgroups", problems: Problems, entry: Entry | None = None
) -> Process | None:
    file = "stat"
    try:
        stat = pid_stat.parse(directory.read(file))
        if entry is not None and not entry.identify(stat):
            return None
        file = "status"
        status = pid_status.parse(directory.read(file))
        command = () if stat.kernel_thread else _command(directory, problems)
        cgroups = parsed.read(directory, problems)
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

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[CgroupEntry, ...]] = {}

    def parse(self, data: bytes) -> tuple[CgroupEntry, ...]:
        """Return what a text says; raise `FormatError`."""
        entries = self._known.get(data)
        if entries is None:
            entries = pid_cgroup.parse(data)
            if len(self._known) >= _TEXTS:
                self._known.clear()
            self._known[data] = entries
        return entries

    def read(self, directory: Directory, problems: Problems) -> tuple[CgroupEntry, ...]:
        """Return its cgroups; none where the kernel was built without, which is told from an exit."""
        try:
            data = directory.read("cgroup")
            entries = self.parse(data)
        except Missing:
            directory.read("stat")
        except FormatError as error:
            procfs.malformed(directory, "cgroup", error, problems)
        except Denied as error:
            problems.failed(error)
        else:
            return entries
        return ()
