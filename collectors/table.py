"""The processes from frame to frame: which are there, and of which anything can have changed since."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING

from collectors import procfs
from collectors.bpf import tasks as tokens
from collectors.bpf.tasks import Tasks, connect
from collectors.errors import CollectError, Gone, Missing
from collectors.formats import pid_stat
from collectors.kept import File, Kept
from collectors.procfs import Entry
from collectors.root import Root
from runtime.errors import FormatError

if TYPE_CHECKING:
    from collectors.bpf.details import Detail

__all__ = ["ACTIVE", "IDLE", "YOUNG", "Entry", "Table"]

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
_WALKS = 32
"""So many walks are remembered, each with those that it found something to be read of."""
_FRESH_SECONDS = 2.0
"""A walk that is older is not shared with another collector."""


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
        self._tokens: dict[int, bytes] | None = None
        """What the iterator told in the walk before, by pid; None where it did not."""
        self._restless: set[int] = set()  # who is `active`, once the iterator tells
        self._touched: deque[tuple[int, set[int]]] = deque(maxlen=_WALKS)
        """By walk, of those told by the iterator: who may have something to be read."""
        self._untold: list[int] = []
        """Processes that are listed, and that the iterator does not tell of."""
        self._listed_at = -ACTIVE
        self._unlike = procfs.Untold()
        self._forgotten: dict[int, Entry] = {}
        self._over: deque[tuple[int, int]] = deque(maxlen=_OVER)
        """The pids of those that ended lately, each behind the walk in which it was missed."""
        self._told_since: int | None = None
        """The walk from which on the iterator has told of every process."""
        self._surveyed = self._joined = self.walk = 0
        self._opened: tuple[int, tokens.Opened | None] = (0, None)
        self.numbers: list[int] = []

    def view(self, root: Root, reader: str) -> Sequence[Entry]:
        """Return the processes, by pid, each reader those of a walk once; raise as `Root.names` does."""
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

    def opened(self, *, again: bool = True) -> tokens.Opened | None:
        """Return what all that are told of have open; not `again`: what was told in this walk will do."""
        if again or self._opened[0] != self.walk:
            self._opened = self.walk, self._tasks.opened() if self._tasks is not None else None
        return self._opened[1]

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
        """Return those of the newest walk."""
        return tuple(self._entries.values())

    def stirred(self, since: int) -> tuple[Sequence[Entry], Sequence[int]] | None:
        """Return the processes that ran, began or moved after a walk, and the pids of those that ended.

        None where any may have. Those that the iterator does not tell of are always among them.
        """
        if self._told_since is None or since < self._told_since:
            return None
        if len(self._over) == _OVER and self._over[0][0] > since:
            return None
        touched = self.touched(since)
        there = [
            entry
            for entry in (self._entries.values() if touched is None else touched)
            if entry.counted > since or entry.version > since or entry.moved > since
        ]
        there += [self._entries[pid] for pid in self._untold if pid in self._entries]
        return there, [pid for walk, pid in self._over if walk > since]

    def touched(self, since: int) -> Sequence[Entry] | None:
        """Return those there of whom anything can have changed after a walk, each once; None: of all."""
        walks = tuple(self._touched)
        if not walks or walks[0][0] > since + 1 or walks[-1][0] != self.walk:
            return None
        pids = set[int]().union(*(some for walk, some in walks if walk > since))
        return [self._entries[pid] for pid in pids if pid in self._entries]

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
            self._tasks, self._connected, self._tokens = None, False, None
            self._untold, self._listed_at, self._unlike = [], -ACTIVE, procfs.Untold()
        self.walk += 1
        told = self._told(root)
        if told is None:
            self._told_since = None
        elif self._told_since is None:
            self._told_since = self.walk
        self.numbers = self._listed(root, told)
        self._kept.renew()
        if self._entries and self._file is None and (told is None or self._untold):
            self._file = procfs.what_tells(root)
        if told is not None and self._tokens is not None:
            gone = self._advance(told, self._tokens)
        else:
            gone = self._begin(told or {})
        self._tokens = told
        gone, self._forgotten = gone | self._forgotten, {}
        if gone:
            self._ended(gone, told=told is not None)
        self._walked_at = time.monotonic()
        self._served = set()

    def _begin(self, told: dict[int, bytes]) -> dict[int, Entry]:
        """Look at every process that is listed; return those of before that are not any more."""
        before = self._entries
        now: dict[int, Entry] = {}
        self._touched.clear()
        # Those that are there at the first walk count as old.
        born = self.walk - YOUNG if self.walk == 1 else self.walk
        for pid in self.numbers:
            entry = before.pop(pid, None) or Entry(pid, self.walk, born=born)
            now[pid] = self._met(entry, told.get(pid))
        self._entries = now
        self._restless = {pid for pid, entry in now.items() if entry.active}
        return before

    def _advance(self, told: dict[int, bytes], before: dict[int, bytes]) -> dict[int, Entry]:
        """Look at those of whom another thing is told than before; return those that are not there.

        The others are as they were, but for those that ran, whose turn comes to be read again.
        """
        entries = self._entries
        there = told.keys() | self._untold
        gone = {pid: entries.pop(pid) for pid in entries.keys() - there}
        fresh = there - entries.keys()
        for pid in fresh:
            entries[pid] = Entry(pid, self.walk)
        due = set(compress(told, map(ne, told.values(), map(before.get, told))))
        due.update(fresh, self._restless, self._untold)
        due &= there
        for pid in due:
            entries[pid] = self._met(entries[pid], told.get(pid))
        self._restless = {pid for pid in due if entries[pid].active}
        self._touched.append((self.walk, due))
        if fresh:
            self._entries = {pid: entries[pid] for pid in self.numbers}
        return gone

    def _met(self, entry: Entry, token: bytes | None) -> Entry:
        """Return an entry with what may have changed marked, or the one of another process."""
        if token is not None:
            entry = self._compared(entry, token)
        elif entry.walked:
            entry = self._looked(entry)
        entry.walked = True
        return entry

    def _told(self, root: Root) -> dict[int, bytes] | None:
        """Return what the iterator tells of each; None where it cannot be had."""
        if not self._connected and (self.walk > 1 or procfs.has_many(root, _MANY)):
            self._connected = True
            self._tasks = connect(root) if self._quick else None
            return self._tasks.taken() if self._tasks is not None else None
        if self._tasks is None:
            return None
        root.reads.files += 1
        try:
            return self._tasks.read()
        except OSError:
            self._tasks = None
            return None

    def _listed(self, root: Root, told: dict[int, bytes] | None) -> list[int]:
        """Return the pids, ascending; in a turn those are looked for that a security module keeps back."""
        if told is None or self._tasks is None:
            return procfs.pids(root)
        if self._listed_at + ACTIVE <= self.walk:
            self._listed_at = self.walk
            other = self._unlike.renew(root, self._tasks.threads)
            if other or not self._entries.keys() >= {*self._untold}:
                self._untold = [pid for pid in procfs.pids(root) if pid not in told]
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
