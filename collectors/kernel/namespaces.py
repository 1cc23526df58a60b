"""Reads every namespace: /proc/PID/ns/*, parents and owners by ioctl_ns(2), and what pins them."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from msgspec import Struct

from collectors import nsfs, procfs, spaces
from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems, Unsupported
from collectors.formats import ns_link
from collectors.members import MountTables
from collectors.nsfs import TYPES, Relations, Type
from collectors.root import Root
from collectors.spaces import NAMED, IdMap, Looker, Membership, Namespace, Pin, Seen, Spaces
from collectors.table import Entry, Table
from runtime.errors import FormatError
from runtime.formats import idmap, mountinfo

__all__ = [
    "KEY",
    "TYPES",
    "IdMap",
    "Membership",
    "Namespace",
    "NamespacesReading",
    "Pin",
    "Reader",
    "Type",
    "read",
]


class NamespacesReading(Struct, frozen=True):
    """Every namespace, and every process's memberships, by pid."""

    namespaces: tuple[Namespace, ...]
    memberships: tuple[Membership, ...]
    own: tuple[int | None, ...]
    """The reader's own namespaces, by `TYPES`."""
    init: tuple[int | None, ...]
    """Those of the host's pid 1 (or, within a container, of the pid 1 that is seen).

    Where the kernel does not show these, those of its own threads; else None each.
    """
    problems: tuple[Problem, ...] = ()


KEY = Key("namespaces", NamespacesReading)


def read(root: Root) -> NamespacesReading:
    """Walk /proc once; a process that exits while being read is left out."""
    return Reader().read(root)


class Reader:
    """Reads again and again: a process where it can have changed, a namespace where it is new.

    A namespace's parent, owner and id maps never change once they are there; that it is still the
    same one, and not a later one with its inode, is known as long as one process stays in it.
    """

    def __init__(self, table: Table | None = None, tables: MountTables | None = None) -> None:
        """Read the processes of a table, which other collectors may share, as the tables of mounts."""
        self._table = table or Table()
        self._looker: Looker | None = None
        self._root: Root | None = None
        self._memory = _Memory(tables or MountTables())
        self.empty_networks: Mapping[int, Sequence[str]] = {}
        """Those without a process at the last reading, with paths to open them by."""
        self._last: NamespacesReading | None = None
        self._walk = 0
        """The newest whose processes were looked at."""
        self._there: dict[int, Entry] = {}  # those that said something
        self._view: tuple[object, ...] = ()
        """From where it was seen, and what limits that."""

    def read(self, root: Root) -> NamespacesReading:
        """Return every one and who is in it; raise as `Root.names` does."""
        problems = Problems()
        if self._looker is None or self._root is not root:
            self._looker, self._root = Looker(root), root
            self._memory = _Memory(self._memory.tables)
            self._last, self._walk = None, 0
        own = spaces.own(root)
        entries = self._table.view(root, KEY.name)
        procfs.limits(root, self._table.numbers, problems)
        view = (own, problems.all())
        changed = self._look(self._looker, entries)
        same = self._last is not None and not changed
        self._table.survey(changed=not same)
        if same and self._last is not None and view == self._view and self._memory.settled(root):
            return self._last
        self._view = view
        self._last = self._survey(root, own, problems)
        return self._last

    def _look(self, looker: Looker, entries: Sequence[Entry]) -> bool:
        """Look at those that can have changed; return whether any did, began or ended."""
        changed, walk = False, self._table.walk
        touched = self._table.touched(self._walk)
        before, self._there = self._there, {}
        if touched is not None:
            self._there.update(before)
            for pid in before.keys() - {one.pid for one in entries}:
                del self._there[pid]
        these = entries if touched is None else touched
        looked = [(one, one.kept.get(KEY.name)) for one in these]
        due = sum(seen is None or seen.walk < entry.version for entry, seen in looked)
        looker.begin(self._table, due)
        for entry, known in looked:
            seen: Seen | None = known
            if seen is None or seen.walk < entry.version:
                seen = entry.kept[KEY.name] = looker.look(walk, entry.pid, entry)
                changed = changed or known is None or known[1:] != seen[1:]
            if seen.membership is not None or seen.problems:
                self._there[entry.pid] = entry
            else:
                self._table.forget(entry)
                self._there.pop(entry.pid, None)
        self._walk = walk
        return changed or before.keys() != self._there.keys()

    def _survey(self, root: Root, own: spaces.Own, problems: Problems) -> NamespacesReading:
        survey = _Survey(root, problems, self._memory)
        for pid in sorted(self._there):
            survey.visit(self._there[pid])
        if many := survey.unsearched:
            what = f"descriptors of {many} processes were not searched: they are too many"
            problems.add(Problem("/proc/*/fd", "readlink", "unavailable", what))
        survey.find_bind_mounts(first=own[0])
        found = survey.namespaces()
        self._memory = survey.kept()
        self.empty_networks = survey.empty("net")
        return NamespacesReading(
            namespaces=found,
            memberships=tuple(survey.memberships),
            own=own,
            init=spaces.init(root, survey.memberships),
            problems=problems.all(),
        )


_pid = attrgetter("pid")

_Binds = tuple[tuple[Type, int, str], ...]
"""Type, inode and mountpoint of each namespace that is mounted somewhere."""


class _Memory:
    """What is known from the walk before."""

    def __init__(self, tables: MountTables) -> None:
        self.tables = tables
        self.witnesses: dict[int, Entry] = {}
        """By namespace: a process that has been in it since it was asked."""
        self.relations: dict[int, Relations] = {}
        self.maps: dict[tuple[int, str], tuple[IdMap, ...]] = {}
        self.told: dict[int, Namespace] = {}
        self.binds: dict[int, tuple[bytes, _Binds]] = {}
        """By mount namespace: the lines of its mounted namespaces, and what they say."""
        self.asked: set[int] = set()
        """Processes whose tables of mounts were looked through."""

    def settled(self, root: Root) -> bool:
        """Return whether the next walk would find the same of the same processes.

        Not while a user namespace waits for its map, which is written once.
        """
        return all(self.maps.values()) and all(self.tables.same(root, pid) for pid in self.asked)


class _Survey(_Memory):
    """What one walk finds out: who is in which namespace, and what holds those with nobody in it."""

    def __init__(self, root: Root, problems: Problems, memory: _Memory) -> None:
        super().__init__(memory.tables)
        self.memberships: list[Membership] = []
        self.unsearched = 0
        """Processes whose descriptors were not looked through, for there are too many."""
        self._root = root
        self._problems = problems
        self._memory = memory
        self._together: dict[int, tuple[Spaces, list[Entry]]] = {}
        """Who shares a set of namespaces, by its identity."""
        self._members: dict[int, list[list[Entry]]] = {}
        """The sets that a namespace is in: only those that somebody is in have one."""
        self._types: dict[int, Type] = {}
        self._pins: dict[int, list[Pin]] = {}
        self._doors: dict[int, list[str]] = {}
        """Paths within the root by which a namespace can be opened."""

    def kept(self) -> _Memory:
        """Return what the next walk is to know: not this one, which knows the one before it."""
        memory = _Memory(self.tables)
        memory.witnesses, memory.relations = self.witnesses, self.relations
        memory.maps, memory.told, memory.binds = self.maps, self.told, self.binds
        memory.asked = self.asked
        return memory

    def visit(self, entry: Entry) -> None:
        """Take in one process, by pid."""
        seen: Seen = entry.kept[spaces.NAME]
        _, membership, meant, pins, unsearched, problems = (
            seen  # of thousands: each look takes long
        )
        for problem in problems:
            self._problems.add(problem)
        if membership is None:
            return
        self.memberships.append(membership)
        if meant is None:
            return
        together = self._together.get(id(meant))
        if together is None:
            together = self._together[id(meant)] = meant, []
            for kind, inode in zip(TYPES, meant.inodes, strict=True):
                if inode is not None:
                    self._types[inode] = kind
                    self._members.setdefault(inode, []).append(together[1])
        together[1].append(entry)
        for inode, kind, pin in pins:
            self._pin(inode, kind, pin)
        self.unsearched += unsearched

    def _of(self, inode: int) -> Iterable[Entry]:
        """Yield who is in a namespace, by pid."""
        return heapq.merge(*self._members.get(inode, ()), key=_pid)

    def _pin(self, inode: int, kind: Type, pin: Pin, *, door: str | None = None) -> None:
        self._types[inode] = kind
        self._pins.setdefault(inode, []).append(pin)
        self._doors.setdefault(inode, []).append(door or pin.path)

    def empty(self, kind: Type) -> Mapping[int, Sequence[str]]:
        """Return the doors of the namespaces of a type that nobody is in."""
        return {
            inode: paths
            for inode, paths in self._doors.items()
            if self._types[inode] == kind and inode not in self._members
        }

    def find_bind_mounts(self, *, first: int | None) -> None:
        """Look for mounted namespaces in each mount namespace, `first` before the others."""
        namespaces = [inode for inode, kind in self._types.items() if kind == "mnt"]
        told: set[tuple[int, str]] = set()
        for namespace in sorted(namespaces, key=lambda inode: inode != first):
            pid, mounts = self._first_bind_mounts(namespace)
            for kind, inode, mountpoint in mounts:
                if (inode, mountpoint) not in told:
                    told.add((inode, mountpoint))
                    door = f"/proc/{pid}/root{mountpoint}"
                    self._pin(inode, kind, Pin("bind", mountpoint, namespace), door=door)

    def _first_bind_mounts(self, namespace: int) -> tuple[int, Sequence[tuple[Type, int, str]]]:
        """Return the bind mounts as the first process that is still there sees them, and its pid."""
        for entry in self._of(namespace):
            mounts = self._bind_mounts(namespace, entry.pid)
            if mounts is not None:
                return entry.pid, mounts
        return 0, ()

    def _bind_mounts(self, namespace: int, pid: int) -> _Binds | None:
        """Return type, inode and mountpoint of each; None when the process went away."""
        name = f"proc/{pid}/mountinfo"
        found: list[tuple[Type, int, str]] = []
        try:
            data = self._memory.tables.read(self._root, pid)
            self.asked.add(pid)
            if b" - nsfs " not in data:
                return ()
            lines = b"".join(line + b"\n" for line in data.split(b"\n") if b" - nsfs " in line)
            known = self._memory.binds.get(namespace)
            if known is not None and known[0] == lines:
                self.binds[namespace] = known
                return known[1]
            for mount in mountinfo.parse(lines):
                kind, inode = ns_link.parse(mount.root)
                if kind in NAMED:
                    found.append((NAMED[kind], inode, mount.mountpoint))
            self.binds[namespace] = (lines, tuple(found))
        except (Missing, Gone, Unsupported):
            return None
        except CollectError as error:
            self._problems.failed(error)
        except FormatError as error:
            self._problems.malformed(f"/{name}", error)
        return tuple(found)

    def namespaces(self) -> tuple[Namespace, ...]:
        """Return all that were found, and their ancestors and owners, by inode."""
        relations: dict[int, Relations] = {}
        if procfs.mounted(self._root):
            for inode, kind in self._types.items():
                if self._known(inode):
                    self._remember(inode, relations)
                else:
                    self._explore(inode, kind, relations)
        self.relations = relations
        types: dict[int, Type] = dict(self._types)
        types.update((inode, said.type) for inode, said in relations.items())
        return tuple(
            self._namespace(inode, kind, relations.get(inode, Relations(kind)))
            for inode, kind in sorted(types.items())
        )

    def _known(self, inode: int) -> bool:
        """Return whether it is the one of the walk before: a process is in it that was in it then."""
        if inode not in self._members:
            return False
        witness = self._memory.witnesses.get(inode)
        if witness is not None and not witness.ended and inode in self._memory.relations:
            seen: Seen | None = witness.kept.get(KEY.name)
            inodes = seen.spaces.inodes if seen is not None and seen.spaces is not None else ()
            if inode in inodes:
                self.witnesses[inode] = witness
                return True
        self.witnesses[inode] = min((some[0] for some in self._members[inode]), key=_pid)
        return False

    def _remember(self, inode: int, relations: dict[int, Relations]) -> None:
        """Take over what a namespace said, and those above it, which live as long as it does."""
        pending = [inode]
        while pending:
            one = pending.pop()
            said = self._memory.relations.get(one)
            if said is None or one in relations:
                continue
            relations[one] = said
            pending += [above for above in (said.parent, said.owner_user_ns) if above is not None]

    def _explore(self, inode: int, kind: Type, relations: dict[int, Relations]) -> None:
        """Ask a namespace through the first of its members, then of its pins, that lets one in."""
        failed: CollectError | None = None
        members = (f"/proc/{entry.pid}/ns/{kind}" for entry in self._of(inode))
        for name in (*members, *self._doors.get(inode, ())):
            try:
                nsfs.explore(self._root.resolve(name), kind, inode, relations, name=name)
            except (Missing, Gone):
                continue
            except CollectError as error:
                failed = error
            else:
                return
        if failed is not None:
            self._problems.failed(failed)

    def _namespace(self, inode: int, kind: Type, said: Relations) -> Namespace:
        mapped = kind == "user"
        pins = self._holders(inode)
        before = self._memory.told.get(inode)
        same = before is not None and self._memory.relations.get(inode) is said
        if before is not None and same and not mapped and before.pinned_by == pins:
            self.told[inode] = before
            return before
        told = self.told[inode] = Namespace(
            inode=inode,
            type=kind,
            parent=said.parent,
            owner_user_ns=said.owner_user_ns,
            owner_uid=said.owner_uid,
            pinned_by=pins,
            uid_map=self._map(inode, "uid_map") if mapped else None,
            gid_map=self._map(inode, "gid_map") if mapped else None,
        )
        return told

    def _holders(self, inode: int) -> tuple[Pin, ...]:
        """Return its pins; that children go where others are already is nothing to tell."""
        pins = self._pins.get(inode, ())
        if inode in self._members:
            return tuple(pin for pin in pins if pin.kind != "children")
        return tuple(pins)

    def _map(self, inode: int, file: str) -> tuple[IdMap, ...] | None:
        """Return a user namespace's map, as the reader numbers ids; None with no process in it.

        It is written once only.
        """
        before = self._memory.maps.get((inode, file))
        if before and self._memory.witnesses.get(inode) is self.witnesses.get(inode, self):
            self.maps[inode, file] = before
            return before
        for entry in self._of(inode):
            name = f"proc/{entry.pid}/{file}"
            try:
                lines = tuple(IdMap(*line) for line in idmap.parse(self._root.read(name)))
            except (Missing, Gone):
                continue
            except CollectError as error:
                self._problems.failed(error)
            except FormatError as error:
                self._problems.malformed(f"/{name}", error)
            else:
                self.maps[inode, file] = lines
                return lines
            return None
        return None
