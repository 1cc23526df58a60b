"""Finds which processes are in each namespace of a type, so that one of them can be asked."""

import errno
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from collectors.bpf.tasks import Opened
from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.errors import Kind as ErrorKind
from collectors.formats import pid_stat
from collectors.nsfs import TYPES
from collectors.root import Root
from collectors.spaces import NAME, Seen
from collectors.table import Table
from runtime.errors import FormatError
from runtime.formats import mountinfo
from runtime.formats.mountinfo import MountInfo

T = TypeVar("T")
_TURN = 10
"""Walks after which a table of mounts is read again though nothing was mounted."""
_LINES = 20_000
"""So many different lines of mounts are remembered."""
_REFUSALS = 8
"""After so many processes that are there and do not tell, no other one is asked."""


class Damaged(CollectError):  # noqa: N818 - named as what it says, like its siblings
    """A file did not have the format that its documentation gives it."""

    kind: ErrorKind = "format"


Kind = Literal["mnt", "net"]
Found = tuple[Mapping[int, Sequence[int]], tuple[Problem, ...]]
"""Pids by the inode of a namespace, and what could not be read."""


class _MountTable(NamedTuple):
    """One process's file: what told that it is as it was, when it was read, and what it says."""

    told: bytes | None
    walk: int
    data: bytes


class MountTables:
    """Reads /proc/PID/mountinfo once a walk for all who ask, and parses it when it changed.

    Where the kernel tells that nothing was mounted, it is read in every `_TURN`th walk only: a
    directory that was renamed, or a new propagation, is not told of. None is kept open: an open one
    keeps its namespace, and what is mounted there, alive.
    """

    def __init__(self, table: Table | None = None) -> None:
        """Read once for each walk of a table; without one, every time."""
        self._table = table
        self._walk = 0
        self._met: set[int] = set()
        self._read: dict[int, _MountTable] = {}
        self._parsed: dict[int, tuple[bytes, tuple[MountInfo, ...]]] = {}
        self._lines: dict[bytes, mountinfo.Tail] = {}
        """What was understood of lines: namespaces are copies of others, and their lines alike."""

    def read(self, root: Root, pid: int) -> bytes:
        """Return a process's file; raise as `Root.read` does."""
        if self._table is None:
            return root.read(f"proc/{pid}/mountinfo")
        if self.settled(pid):
            return self._read[pid].data
        told = self._table.mounted(pid)  # before reading: what is mounted meanwhile is another one
        self._read.pop(pid, None)
        data = root.read(f"proc/{pid}/mountinfo")
        self._read[pid] = _MountTable(told, self._walk, data)
        return data

    def settled(self, pid: int) -> bool:
        """Return whether a process's file is known, and can be taken to be as it was."""
        if self._table is None:
            return False
        self._begin(self._table.walk)
        self._met.add(pid)
        known = self._read.get(pid)
        if known is None:
            return False
        if known.walk == self._walk:
            return True
        return (
            (self._walk + pid) % _TURN != 0
            and known.told is not None
            and known.told == self._table.mounted(pid)
            and self._table.rested(pid, known.walk)  # else it may be in a chroot(2) by now
        )

    def told(self, pid: int) -> tuple[MountInfo, ...] | None:
        """Return what a process's file says where that can be taken to be as it was, else None."""
        if not self.settled(pid):
            return None
        data, mounts = self._parsed.get(pid, (None, ()))
        return mounts if data == self._read[pid].data else None

    def same(self, root: Root, pid: int) -> bool:
        """Return whether a process's file is as it was when it was last asked for."""
        known = self._read.get(pid)
        try:
            return known is not None and self.read(root, pid) == known.data
        except CollectError:
            return False

    def _begin(self, walk: int) -> None:
        """Forget what nobody asked for in the walk before."""
        if self._walk != walk:
            self._walk = walk
            self._read = {pid: one for pid, one in self._read.items() if pid in self._met}
            self._parsed = {pid: one for pid, one in self._parsed.items() if pid in self._met}
            self._met.clear()

    def parsed(self, root: Root, pid: int) -> tuple[MountInfo, ...]:
        """Return it parsed; raise as `mountinfo.parse` does too."""
        data = self.read(root, pid)
        before, mounts = self._parsed.get(pid, (b"", ()))
        if data != before:
            if len(self._lines) > _LINES:
                self._lines.clear()
            mounts = mountinfo.parse(data, self._lines)
            if self._table is not None:
                self._parsed[pid] = (data, mounts)
        return mounts


class Mounted(NamedTuple):
    """The mounts of every mount namespace, and what could not be read."""

    namespaces: Mapping[int, tuple[int, tuple[MountInfo, ...]]]
    """By inode: the process that was asked, and what it sees."""
    problems: tuple[Problem, ...]


class Members:
    """Walks /proc for several collectors of one sample: what it found is told again for a moment."""

    def __init__(
        self,
        seconds: float = 0.0,
        table: Table | None = None,
        tables: MountTables | None = None,
    ) -> None:
        """Take how long an answer may be told again; by default every question is a walk.

        With a table of the processes what it knows already is not asked again.
        """
        self._seconds = seconds
        self._table = table
        self.tables = tables or MountTables()
        self._answers: dict[tuple[str, Kind], tuple[float, Found]] = {}
        self._told: dict[Kind, tuple[int, Found]] = {}
        """What the table knew, and in which walk."""
        self._mounts: dict[int, tuple[int, tuple[MountInfo, ...]]] = {}
        self._mounted: tuple[int, Mounted] | None = None
        """In which walk of the table it was told, and that."""
        self._changed: dict[tuple[Kind, int], tuple[int, set[int]]] = {}
        """By kind and what it was asked since: in which walk of the table, and the answer."""

    def of(self, root: Root, kind: Kind) -> Found:
        """Return as `members` does."""
        if self._table is not None:
            return self._known(self._table, root, kind)
        at, found = self._answers.get((root.path, kind), (0.0, None))
        if found is None or time.monotonic() - at > self._seconds:
            found = members(root, kind)
            if self._seconds:
                self._answers[root.path, kind] = (time.monotonic(), found)
        return found

    def started(self, root: Root, pid: int) -> int:
        """Return a process's start, in ticks after boot; raise as `Root.read` and its parser do."""
        ticks = self._table.started(pid) if self._table is not None else None
        if ticks is None:
            ticks = pid_stat.start_ticks(root.read(f"proc/{pid}/stat"))
        return ticks

    def _known(self, table: Table, root: Root, kind: Kind) -> Found:
        """Return what the collector of namespaces found, and ask only the processes it did not."""
        entries = table.look(root)
        walk, told = self._told.get(kind, (0, None))
        if told is not None and (walk == table.walk or table.same_members(walk)):
            return told
        found: dict[int, list[int]] = {}
        problems = Problems()
        number = TYPES.index(kind)
        for entry in entries:
            seen: Seen | None = entry.kept.get(NAME)
            if seen is not None and seen.walk >= entry.version:
                inode = seen.spaces.inodes[number] if seen.spaces is not None else None
                for problem in seen.problems:
                    problems.add(problem)
            else:
                inode = _asked(root, entry.pid, kind, problems)
            if inode is not None:
                found.setdefault(inode, []).append(entry.pid)
        answer = found, problems.all()
        self._told[kind] = (table.walk, answer)
        if kind == "mnt":
            self._mounts = {inode: one for inode, one in self._mounts.items() if inode in found}
        return answer

    def mounts(
        self, root: Root, inode: int, pids: Sequence[int]
    ) -> tuple[int, tuple[MountInfo, ...]]:
        """Return the first process of a mount namespace that tells its mounts, and these.

        Raise as `ask` does. What is known to be as it was is not asked, and is the same object.
        """
        known = self._mounts.get(inode)
        if known is not None and known[0] in pids[:_REFUSALS]:
            mounts = self.tables.told(known[0])
            if mounts is not None and mounts is not known[1]:
                known = self._mounts[inode] = known[0], mounts
            if mounts is not None:
                return known
        found = ask(
            root, "mnt", inode, pids=pids, question=lambda pid: mounts_of(root, pid, self.tables)
        )
        self._mounts[inode] = found
        return found

    def mounted(self, root: Root) -> Mounted:
        """Return what `mounts` does of every namespace, without those that went away; raise as `of`.

        It is looked for once in a walk of the table, and is the same object while all is as it was.
        """
        by_namespace, denied = self.of(root, "mnt")
        before = self._mounted
        if before is not None and self._table is not None and before[0] == self.walk:
            return before[1]
        problems = list(denied)
        found: dict[int, tuple[int, tuple[MountInfo, ...]]] = {}
        for inode, pids in by_namespace.items():
            try:
                found[inode] = self.mounts(root, inode, pids)
            except Gone:
                continue
            except CollectError as error:
                problems.append(error.problem())
        answer = Mounted(found, tuple(problems))
        if before is not None and before[1] == answer:
            answer = before[1]
        self._mounted = self.walk, answer
        return answer

    def opened(self, *, again: bool = True) -> tuple[Opened, Sequence[int]] | None:
        """Return what processes have open now, and those of which that is not told; None where of none.

        Not `again`: what another collector was told in this walk will do.
        """
        opened = self._table.opened(again=again) if self._table is not None else None
        return (opened, self._table.untold) if opened is not None and self._table else None

    def rested(self, pid: int, since: int) -> bool:
        """Return whether a process that was read in a walk can be taken to be as it was."""
        return self._table is not None and self._table.rested(pid, since)

    @property
    def walk(self) -> int:
        """The newest walk of the table; 0 without one."""
        return self._table.walk if self._table is not None else 0

    def changed(self, root: Root, kind: Kind, since: int) -> tuple[set[int] | None, int]:
        """Return the namespaces with a process that ran after a walk of the table, and the newest walk.

        None: all of them may have one. Raise as `of` does.
        """
        if self._table is None or since == 0:
            return None, self._table.walk if self._table is not None else 0
        number = TYPES.index(kind)
        entries = self._table.look(root)
        known = self._changed.get((kind, since))
        if known is not None and known[0] == self._table.walk:
            return known[1], self._table.walk
        found: set[int] = set()
        for entry in entries:
            if entry.version <= since and entry.counted <= since and entry.moved <= since:
                continue
            seen: Seen | None = entry.kept.get(NAME)
            inode = seen.spaces.inodes[number] if seen is not None and seen.spaces else None
            if inode is not None:
                found.add(inode)
        self._changed = {
            key: one for key, one in self._changed.items() if one[0] == self._table.walk
        }
        self._changed[kind, since] = self._table.walk, found
        return found, self._table.walk


def _asked(root: Root, pid: int, kind: Kind, problems: Problems) -> int | None:
    try:
        return namespace(root, pid, kind)
    except (Missing, Gone):
        return None
    except CollectError as error:
        problems.failed(error)
        return None


def members(root: Root, kind: Kind) -> Found:
    """Return the pids in each namespace, ascending, by the namespace's inode (namespaces(7)).

    A process that exits meanwhile, and a zombie, which is in none, are left out. Those that this
    user may not look at are one problem together: without root they are most of the host.
    """
    found: dict[int, list[int]] = {}
    problems = Problems()
    for pid in sorted(int(name) for name in root.names("proc") if name.isdecimal()):
        try:
            inode = namespace(root, pid, kind)
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
            continue
        found.setdefault(inode, []).append(pid)
    return found, problems.all()


def namespace(root: Root, pid: int | str, kind: Kind) -> int:
    """Return the inode of a process's namespace; raise as `Root.link` does."""
    name = f"proc/{pid}/ns/{kind}"
    target = root.link(name)
    inode = target.removeprefix(f"{kind}:[").removesuffix("]")
    if not inode.isdecimal():
        raise Damaged(f"/{name}", "readlink", f"not a namespace: {target[:80]!r}")
    return int(inode)


def ask(
    root: Root, kind: Kind, inode: int, *, pids: Sequence[int], question: Callable[[int], T]
) -> tuple[int, T]:
    """Return the first of a namespace's processes that answers, and its answer.

    An answer counts when the process is still in the namespace afterwards: a pid is used again.
    Raises what the last one that was asked raised; `Gone` when all of them went away.
    """
    refusals: list[CollectError] = []
    for pid in pids:
        try:
            answer = question(pid)
            if namespace(root, pid, kind) == inode:
                return pid, answer
        except (Missing, Gone):
            continue
        except CollectError as error:
            refusals.append(error)
            if len(refusals) == _REFUSALS:
                break
    if refusals:
        raise refusals[-1]
    raise Gone("/proc", "open", "every process of the namespace went away")


def mounts_of(root: Root, pid: int, tables: MountTables | None = None) -> tuple[MountInfo, ...]:
    """Return the mounts that a process sees; raise as `Root.read` does, `Damaged` on a torn file."""
    name = f"proc/{pid}/mountinfo"
    try:
        return (tables or MountTables()).parsed(root, pid)
    except FormatError as error:
        raise Damaged(f"/{name}", "parse", str(error)) from error
    except CollectError as error:
        # A process that became a zombie has no namespaces any more: open(2) says EINVAL.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EINVAL:
            raise Gone(error.path, error.operation, error.message) from error
        raise
