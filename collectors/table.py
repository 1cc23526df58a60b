"""The processes from frame to frame: which are there, and of which anything can have changed since."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from collectors import procfs
from collectors.bpf import tasks as tokens
from collectors.bpf.tasks import Tasks, connect
from collectors.errors import CollectError, Gone, Missing
from collectors.formats import pid_stat
from collectors.formats.pid_stat import PidStat
from collectors.kept import File, Kept
from collectors.root import Root
from runtime.errors import FormatError

if TYPE_CHECKING:
    from collectors.bpf.details import Detail

YOUNG = 8
"""Frames in which a new process, or a new program, is read in full each time that it ran."""
ACTIVE = 5
"""Frames after which an older one that ran is read in full again."""
IDLE = 20
"""Frames after which what others can do to one that did not run is looked at again."""
_OVER = 512
"""So many processes that ended are remembered."""
_MANY = 1000
"""From so many processes on the iterator is worth its loading for one walk alone."""
_FRESH_SECONDS = 2.0
"""A walk that is older is not shared with another collector."""


class Entry:
    """One process as long as it lasts, and what its readers keep of it.

    `version`, `counted` and `moved` are the walks in which anything, its counters, or its cgroup
    were last found to have possibly changed; a reader that read later has nothing to read.
    """

    __slots__ = (
        "active",
        "born",
        "counted",
        "ended",
        "file",
        "kept",
        "moved",
        "pid",
        "stat",
        "ticks",
        "token",
        "version",
        "walked",
    )

    def __init__(self, pid: int, walk: int, *, born: int | None = None) -> None:
        self.pid = pid
        self.ticks: int | None = None
        """When it started; None until somebody has read it."""
        self.stat: PidStat | None = None
        self.version = self.counted = self.moved = walk
        self.born = walk if born is None else born
        self.active = False
        """Whether it ran since it was last read in full."""
        self.token: bytes | None = None
        """What changes when it runs."""
        self.file: File | None = None
        self.ended = False
        self.walked = False
        """Whether a walk has met it before this one."""
        self.kept: dict[str, Any] = {}
        """By reader: what it read, and in which walk."""

    def identify(self, stat: PidStat) -> bool:
        """Take in what was read of it; False when it is another process by now."""
        if self.ticks is not None and self.ticks != stat.start_ticks:
            return False
        self.ticks, self.stat = stat.start_ticks, stat
        return True


class Table:
    """Walks /proc once a frame for all who ask, and reads little of those that did not run.

    A process can change its own namespaces, capabilities, command line, descriptors and program
    only by running, and `schedstat` tells the nanoseconds that its first thread ran: one small file,
    kept open. So what a process did is seen:
    - a new program (execve(2)) and a new name, in the next frame: `stat` shows other addresses;
    - anything else in the next frame while it, or its program, is younger than `YOUNG` frames,
      otherwise in the next `ACTIVE`th one; those that are there at the first walk count as old;
    - what others did to it while it did not run (another cgroup, another parent, pages taken away):
      a parent's end in the next frame, the rest in the next `IDLE`th one.
    Where the kernel keeps no schedstat, `stat` as a whole is what tells that one ran.

    From the second walk on, or the first where there are many, one read of a BPF iterator takes the
    place of a file each where it can be had (`collectors.bpf`). Then also all that is done to a
    process while it does not run is seen in the next frame, and so is another user or namespace.
    """

    def __init__(
        self, root: Root | None = None, kept: Kept | None = None, *, quick: bool = True
    ) -> None:
        """Walk a root; unless it is to be `quick`, by reading /proc alone."""
        self._root = root
        self._kept = kept
        self._quick = quick
        self._entries: dict[int, Entry] = {}
        self._served: set[str] = set()
        self._walked_at = float("-inf")
        self._lock = threading.Lock()
        self._file: str | None = None
        self._tasks: Tasks | None = None
        self._connected = False
        self._untold: list[int] = []
        """Processes that are listed, and that the iterator does not tell of."""
        self._listed_at = -ACTIVE
        self._forgotten: dict[int, Entry] = {}
        self._over: deque[tuple[int, int]] = deque(maxlen=_OVER)
        """The pids of those that ended lately, each behind the walk in which it was missed."""
        self._told_since: int | None = None
        """The walk from which on the iterator has told of every process."""
        self._surveyed = self._joined = 0
        self.walk = 0
        self.numbers: list[int] = []

    def view(self, root: Root, reader: str) -> Sequence[Entry]:
        """Return the processes, by pid; each reader gets those of a walk once.

        Raises as `Root.names` does.
        """
        with self._lock:
            old = time.monotonic() - self._walked_at > _FRESH_SECONDS
            if reader in self._served or old or root is not self._root:
                self._walk(root)
            self._served.add(reader)
            return tuple(self._entries.values())

    def look(self, root: Root) -> Sequence[Entry]:
        """Return the processes as some reader of this moment had them; raise as `view` does."""
        with self._lock:
            if time.monotonic() - self._walked_at > _FRESH_SECONDS or root is not self._root:
                self._walk(root)
            return tuple(self._entries.values())

    def started(self, pid: int) -> int | None:
        """Return when a process started, as far as that was read."""
        entry = self._entries.get(pid)
        return entry.ticks if entry is not None else None

    def mounted(self, pid: int) -> bytes | None:
        """Return what changes when a process comes to see other mounts; None where that is not told."""
        entry = self._entries.get(pid)
        if self._tasks is None or entry is None or entry.token is None or pid in self._untold:
            return None
        return tokens.mounts(entry.token)

    def opened(self) -> tokens.Opened | None:
        """Return what all processes that are told of have open now; None where that is not told."""
        return self._tasks.opened() if self._tasks is not None else None

    def details(self) -> "dict[int, Detail] | None":
        """Return what all processes that are told of say of themselves now; None where not told."""
        return self._tasks.details() if self._tasks is not None else None

    @property
    def tells(self) -> bool:
        """Whether the newest walk's tokens are the iterator's, but those of the `untold`."""
        return self._told_since is not None

    @property
    def untold(self) -> Sequence[int]:
        """Processes that are listed, and that the iterator does not tell of."""
        return self._untold

    def rested(self, pid: int, since: int) -> bool:
        """Return whether there is nothing to read of a process that was read in a walk."""
        entry = self._entries.get(pid)
        return entry is not None and entry.born <= since and entry.version <= since

    def has(self, pid: int) -> bool:
        """Return whether the newest walk met a process."""
        return pid in self._entries

    def everyone(self) -> Sequence[Entry]:
        """Return the processes of the newest walk."""
        return tuple(self._entries.values())

    def stirred(self, since: int) -> tuple[Sequence[Entry], Sequence[int]] | None:
        """Return the processes that ran, began or moved after a walk, and the pids of those that ended.

        None where any may have. Those that the iterator does not tell of are always among them.
        """
        if self._told_since is None or since < self._told_since:
            return None
        if len(self._over) == _OVER and self._over[0][0] > since:
            return None
        there = [
            entry
            for entry in self._entries.values()
            if entry.counted > since or entry.version > since or entry.moved > since
        ]
        there += [self._entries[pid] for pid in self._untold if pid in self._entries]
        return there, [pid for walk, pid in self._over if walk > since]

    def survey(self, *, changed: bool) -> None:
        """Take in that the namespaces of this walk's processes were read, and differ from before."""
        self._surveyed = self.walk
        if changed:
            self._joined = self.walk

    def same_members(self, since: int) -> bool:
        """Return whether this walk's processes are known to be in the namespaces of another walk's."""
        return self._surveyed == self.walk and self._joined <= since

    def forget(self, entry: Entry) -> None:
        """Drop one that is not there any more, or is another one by now: it is new if it is met again."""
        if self._entries.get(entry.pid) is entry:
            del self._entries[entry.pid]
            self._forgotten[entry.pid] = entry
        self._close(entry)

    def _walk(self, root: Root) -> None:
        if root is not self._root or self._kept is None:
            self._entries.clear()
            self._root, self._kept = root, Kept(root)
            self._tasks, self._connected = None, False
            self._untold, self._listed_at = [], -ACTIVE
        self.walk += 1
        told = self._told(root)
        if told is None:
            self._told_since = None
        elif self._told_since is None:
            self._told_since = self.walk
        self.numbers = self._listed(root, told)
        self._kept.renew()
        before, now = self._entries, {}
        if before and self._file is None and (told is None or self._untold):
            self._file = _what_tells(root)
        # Those that are there at the first walk count as old.
        born = self.walk - YOUNG if self.walk == 1 else self.walk
        for pid in self.numbers:
            entry = before.pop(pid, None) or Entry(pid, self.walk, born=born)
            token = told.get(pid) if told is not None else None
            if token is not None:
                now[pid] = self._compared(entry, token)
            else:
                now[pid] = self._looked(entry) if entry.walked else entry
            now[pid].walked = True
        self._entries = now
        gone, self._forgotten = before | self._forgotten, {}
        if gone:
            self._ended(gone, told=told is not None)
        self._walked_at = time.monotonic()
        self._served = set()

    def _told(self, root: Root) -> dict[int, bytes] | None:
        """Return what the iterator tells of each process; None where it cannot be had."""
        if not self._connected and (self.walk > 1 or len(procfs.pids(root)) >= _MANY):
            self._connected = True
            self._tasks = connect(root) if self._quick else None
        if self._tasks is None:
            return None
        root.reads.files += 1
        try:
            return self._tasks.read()
        except OSError:
            self._tasks = None
            return None

    def _listed(self, root: Root, told: dict[int, bytes] | None) -> list[int]:
        """Return the pids, ascending: those told of, and those that a security module keeps from that.

        The latter are found in a walk's `ACTIVE`th turn.
        """
        if told is None:
            return procfs.pids(root)
        if self._listed_at + ACTIVE <= self.walk:
            self._untold = [pid for pid in procfs.pids(root) if pid not in told]
            self._listed_at = self.walk
        return sorted({*told, *self._untold}) if self._untold else list(told)

    def _compared(self, entry: Entry, token: bytes) -> Entry:
        """Return the entry with what its token shows to have changed marked; a new one for another."""
        before, entry.token = entry.token, token
        if before == token or (before is not None and tokens.alike(before, token)):
            return self._due(entry) if entry.active else entry
        if not entry.walked:
            return entry  # nobody has read it yet
        if before is None:
            entry.active = True
            return self._counted(entry)
        if before[tokens.START] != token[tokens.START]:
            self._close(entry)
            self._over.append((self.walk, entry.pid))
            entry = Entry(entry.pid, self.walk)
            entry.token = token
            return entry
        if before[tokens.KIND] != token[tokens.KIND]:
            entry.version, entry.active = self.walk, False
            if before[tokens.PROGRAM] != token[tokens.PROGRAM]:
                entry.born = self.walk
            return entry
        if before[tokens.PLACE] != token[tokens.PLACE]:
            entry.moved = self.walk
        entry.active = entry.active or tokens.ran(before, token)
        return self._counted(entry)

    def _counted(self, entry: Entry) -> Entry:
        """Return an entry that ran, or whose counters changed, with what is to be read of it marked."""
        if entry.active and self.walk - entry.born < YOUNG:
            entry.version = self.walk
            return entry
        return self._due(self._count(entry))

    def _ended(self, gone: dict[int, Entry], *, told: bool) -> None:
        """Drop those that ended; their children have another parent now, if that is not told anyway."""
        for entry in gone.values():
            self._close(entry)
            self._over.append((self.walk, entry.pid))
        if told:
            return
        for pid, entry in self._entries.items():
            if entry.stat is not None and entry.stat.ppid in gone:
                self._entries[pid] = self._count(entry)

    def _looked(self, entry: Entry) -> Entry:
        """Return the entry with what may have changed marked; a new one where the pid was used again."""
        try:
            token = self._token(entry)
        except (Gone, Missing):
            self._close(entry)
            return Entry(entry.pid, self.walk)
        except CollectError:
            token = None
        if token is not None and token == entry.token:
            turn = (self.walk + entry.pid) % IDLE == 0
            if turn and entry.stat is not None and entry.stat.threads > 1:
                entry.version = self.walk
            elif turn:
                entry.moved = self.walk
                return self._due(self._count(entry))
            return self._due(entry)
        entry.token, entry.active = token, True
        return self._counted(entry)

    def _due(self, entry: Entry) -> Entry:
        if entry.active and (self.walk + entry.pid) % ACTIVE == 0:
            entry.version = self.walk
        if entry.version == self.walk:
            entry.active = False
        return entry

    def _token(self, entry: Entry) -> bytes:
        """Read what changes when it runs: of a process of several threads, their sums too."""
        if self._kept is None or self._root is None:
            raise AssertionError("nothing was walked yet")
        if entry.file is None:
            entry.file = File(f"proc/{entry.pid}/{self._file}")
        token = self._kept.read(entry.file)
        if self._file != "stat" and entry.stat is not None and entry.stat.threads > 1:
            token += self._root.read(f"proc/{entry.pid}/stat")
        return token

    def _count(self, entry: Entry) -> Entry:
        """Read its counters; where it has another program, everything is to be read again."""
        if self._root is None:
            raise AssertionError("nothing was walked yet")
        before = entry.stat
        try:
            stat = pid_stat.parse(self._root.read(f"proc/{entry.pid}/stat"))
        except (CollectError, FormatError):
            entry.version = self.walk  # its readers will meet the same, and tell
            return entry
        if not entry.identify(stat):
            self._close(entry)
            return Entry(entry.pid, self.walk)
        entry.counted = self.walk
        # Of one that was read without it, the iterator tells of another program.
        told = self._told_since is not None and before is not None and not before.program
        if before is None or (before.program != stat.program and not told):
            entry.born = entry.version = self.walk
        return entry

    def _close(self, entry: Entry) -> None:
        if self._kept is not None and entry.file is not None:
            self._kept.close(entry.file)
        entry.ended = True


def _what_tells(root: Root) -> str:
    """Return the file that tells of running; schedstat is zeros where the kernel does not count."""
    process = "self" if root.live else "1"
    try:
        data = root.read(f"proc/{process}/schedstat")
    except CollectError:
        return "stat"
    return "stat" if data.split() == [b"0", b"0", b"0"] or not data.strip() else "schedstat"
