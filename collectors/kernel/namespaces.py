"""Reads every namespace: /proc/PID/ns/*, parents and owners by ioctl_ns(2), and what pins them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from msgspec import Struct

from collectors import nsfs, procfs
from collectors.collector import Key
from collectors.errors import CollectError, Denied, Gone, Missing, Problem, Problems, Unsupported
from collectors.formats import ns_link, pid_stat
from collectors.nsfs import TYPES, Relations, Type
from collectors.root import Directory, Root
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
    "Type",
    "read",
]

_UNKNOWN: tuple[int | None, ...] = (None,) * len(TYPES)
_TYPES: dict[str, Type] = {kind: kind for kind in TYPES}
_FOR_CHILDREN: tuple[tuple[Type, str], ...] = (("time", "time_for_children"),)
"""pid_for_children tells nothing before that namespace has a process, which is found anyway."""
_LINKS: tuple[str, ...] = (*TYPES, *(file for _, file in _FOR_CHILDREN))


class IdMap(Struct, frozen=True):
    """One line of uid_map or gid_map (user_namespaces(7)): inside, outside, how many."""

    inside: int
    outside: int
    count: int


class Pin(Struct, frozen=True):
    """What holds a namespace without being in it.

    A bind mount, an open descriptor, or a process whose next child will be the first one in it.
    """

    kind: Literal["bind", "fd", "children"]
    path: str
    """The mountpoint, `/proc/PID/fd/N` or `/proc/PID/ns/time_for_children`."""
    mount_namespace: int | None = None
    """Of a bind mount: where the mountpoint is. The same one seen in several is told once, in
    the reader's own if it is there."""


class Namespace(Struct, frozen=True, kw_only=True):
    """One namespace; `None` is "the kernel would not say"."""

    inode: int
    type: Type
    parent: int | None
    """Inode; only pid and user namespaces have one, and only below the reader's own."""
    owner_user_ns: int | None
    owner_uid: int | None
    """User namespaces only: who made it (NS_GET_OWNER_UID)."""
    pinned_by: tuple[Pin, ...] = ()
    uid_map: tuple[IdMap, ...] | None = None
    gid_map: tuple[IdMap, ...] | None = None


class Membership(Struct, frozen=True):
    """Which namespaces a process is in; `inodes` has one entry a type of `TYPES`.

    None where the kernel has no such type or would not say. The process is the one with these
    start ticks, so that a pid used again joins with nothing.
    """

    pid: int
    start_ticks: int
    inodes: tuple[int | None, ...]


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

_MANY = 1024
"""A process with more descriptors than this is a server of connections, not a holder of namespaces."""
_DESCRIPTORS = 60_000
"""How many are looked at in all: about a tenth of a second."""


def read(root: Root) -> NamespacesReading:
    """Walk /proc once; a process that exits while being read is left out."""
    problems = Problems()
    survey = _Survey(root, problems)
    own = _own(root)
    for pid, directory in procfs.opened(root, problems, "/ns"):
        survey.visit(pid, directory)
    if survey.unsearched:
        what = f"descriptors of {survey.unsearched} processes were not searched: they are too many"
        problems.add(Problem("/proc/*/fd", "readlink", "unavailable", what))
    survey.find_bind_mounts(first=own[0])
    return NamespacesReading(
        namespaces=survey.namespaces(),
        memberships=tuple(survey.memberships),
        own=own,
        init=_init(root, survey.memberships),
        problems=problems.all(),
    )


def _own(root: Root) -> tuple[int | None, ...]:
    """Return the reader's own namespaces; all None in a recorded tree."""
    inodes: list[int | None] = []
    for kind in TYPES:
        try:
            inodes.append(ns_link.parse(root.link(f"proc/self/ns/{kind}"))[1])
        except (CollectError, FormatError):
            inodes.append(None)
    return tuple(inodes)


def _init(root: Root, memberships: Sequence[Membership]) -> tuple[int | None, ...]:
    """Return pid 1's namespaces; where they are refused, those of kthreadd, which never leaves them."""
    known = {membership.pid: membership.inodes for membership in memberships[:2]}
    inodes = known.get(1, _UNKNOWN)
    if inodes != _UNKNOWN or 2 not in known:
        return inodes
    try:
        second = pid_stat.parse(root.read("proc/2/stat"))
    except (CollectError, FormatError):
        return inodes
    return known[2] if second.kernel_thread else inodes


class _Spaces(NamedTuple):
    """What one set of links means; most processes of a host share a few of them."""

    inodes: tuple[int | None, ...]
    waiting: tuple[tuple[int, Type, str], ...]
    """Namespaces that only the process's next child will be in, and the link that tells."""


class _Survey:
    """What one walk finds out: who is in which namespace, and what holds those with nobody in it."""

    def __init__(self, root: Root, problems: Problems) -> None:
        self.memberships: list[Membership] = []
        self.unsearched = 0
        """Processes whose descriptors were not looked through, for there are too many."""
        self._root = root
        self._problems = problems
        self._known: dict[tuple[str | None, ...], _Spaces] = {}
        self._together: dict[_Spaces, list[int]] = {}
        self._types: dict[int, Type] = {}
        self._pins: dict[int, list[Pin]] = {}
        self._doors: dict[int, list[str]] = {}
        """Paths within the root by which a namespace can be opened."""
        self._budget = _DESCRIPTORS

    def visit(self, pid: int, directory: Directory) -> None:
        """Take in one process; its start is read last, for only one that is still there has it."""
        try:
            spaces = self._spaces(directory)
            ticks = pid_stat.start_ticks(directory.read("../stat"))
        except (Missing, Gone):
            return
        except CollectError as error:
            self._problems.failed(error)
            return
        except FormatError as error:
            self._problems.malformed(f"/proc/{pid}/stat", error)
            return
        if spaces is None:
            self.memberships.append(Membership(pid, ticks, _UNKNOWN))
            return
        self.memberships.append(Membership(pid, ticks, spaces.inodes))
        self._together.setdefault(spaces, []).append(pid)
        for inode, kind, file in spaces.waiting:
            self._pin(inode, kind, Pin("children", f"/proc/{pid}/ns/{file}"))
        self._descriptors(pid, directory)

    def _spaces(self, directory: Directory) -> _Spaces | None:
        """Return what its links say; a zombie lacks most of them. None where they are refused."""
        try:
            links = directory.links(_LINKS)
        except Denied as error:
            self._problems.failed(error)
            return None
        spaces = self._known.get(links)
        if spaces is None:
            spaces = self._known[links] = self._understand(links, directory)
        return spaces

    def _understand(self, links: Sequence[str | None], directory: Directory) -> _Spaces:
        found: dict[str, int | None] = {}
        for file, link in zip(_LINKS, links, strict=True):
            try:
                found[file] = None if link is None else ns_link.parse(link)[1]
            except FormatError as error:
                self._problems.malformed(directory.path(file), error)
                found[file] = None
        inodes = tuple(found[kind] for kind in TYPES)
        for kind, inode in zip(TYPES, inodes, strict=True):
            if inode is not None:
                self._types[inode] = kind
        waiting: list[tuple[int, Type, str]] = []
        for kind, file in _FOR_CHILDREN:
            inode = found[file]
            if inode is not None and inode not in inodes:
                waiting.append((inode, kind, file))
        return _Spaces(inodes, tuple(waiting))

    def _descriptors(self, pid: int, directory: Directory) -> None:
        """Find open namespaces among a process's files."""
        try:
            with directory.directory("../fd") as files:
                links = self._opened(files)
        except (Missing, Gone):
            return
        except CollectError as error:
            self._problems.failed(error)
            return
        for number, link in links:
            if link is not None and ":[" in link and not link.startswith("/"):
                self._descriptor(f"/proc/{pid}/fd/{number}", link)

    def _opened(self, files: Directory) -> Iterable[tuple[str, str | None]]:
        """Return a process's descriptors and what their links say, as long as that costs little."""
        # Since Linux 6.2 the directory's size is how many there are.
        many = self._root.live and os.fstat(files.fd).st_size > _MANY
        if many or self._budget <= 0:
            self.unsearched += 1
            return ()
        numbers = files.names()
        self._budget -= len(numbers)
        return zip(numbers, files.links(numbers), strict=True)

    def _descriptor(self, path: str, link: str) -> None:
        """Take in a descriptor that may be a namespace's: a pipe's link has the same form."""
        kind = _TYPES.get(link.partition(":")[0])
        if kind is None:
            return
        try:
            inode = ns_link.parse(link)[1]
        except FormatError as error:
            self._problems.malformed(path, error)
        else:
            self._pin(inode, kind, Pin("fd", path))

    @cached_property
    def _members(self) -> Mapping[int, Sequence[int]]:
        """The pids in each namespace, ascending: only to be asked after the last visit."""
        members: dict[int, list[int]] = {}
        for spaces, pids in self._together.items():
            for inode in spaces.inodes:
                if inode is not None:
                    members.setdefault(inode, []).extend(pids)
        for pids in members.values():
            pids.sort()
        return members

    def _pin(self, inode: int, kind: Type, pin: Pin, *, door: str | None = None) -> None:
        self._types[inode] = kind
        self._pins.setdefault(inode, []).append(pin)
        self._doors.setdefault(inode, []).append(door or pin.path)

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

    def _first_bind_mounts(self, namespace: int) -> tuple[int, list[tuple[Type, int, str]]]:
        """Return the bind mounts as the first process that is still there sees them, and its pid."""
        for pid in self._members.get(namespace, ()):
            mounts = self._bind_mounts(pid)
            if mounts is not None:
                return pid, mounts
        return 0, []

    def _bind_mounts(self, pid: int) -> list[tuple[Type, int, str]] | None:
        """Return type, inode and mountpoint of each; None when the process went away."""
        name = f"proc/{pid}/mountinfo"
        found: list[tuple[Type, int, str]] = []
        try:
            data = self._root.read(name)
            lines = [line + b"\n" for line in data.split(b"\n") if b" - nsfs " in line]
            for mount in mountinfo.parse(b"".join(lines)):
                kind, inode = ns_link.parse(mount.root)
                if kind in _TYPES:
                    found.append((_TYPES[kind], inode, mount.mountpoint))
        except (Missing, Gone, Unsupported):
            return None
        except CollectError as error:
            self._problems.failed(error)
        except FormatError as error:
            self._problems.malformed(f"/{name}", error)
        return found

    def namespaces(self) -> tuple[Namespace, ...]:
        """Return all that were found, and their ancestors and owners, by inode."""
        relations: dict[int, Relations] = {}
        if procfs.mounted(self._root):
            for inode, kind in self._types.items():
                self._explore(inode, kind, relations)
        types: dict[int, Type] = dict(self._types)
        types.update((inode, said.type) for inode, said in relations.items())
        return tuple(
            self._namespace(inode, kind, relations.get(inode, Relations(kind)))
            for inode, kind in sorted(types.items())
        )

    def _explore(self, inode: int, kind: Type, relations: dict[int, Relations]) -> None:
        """Ask a namespace through the first of its members, then of its pins, that lets one in."""
        failed: CollectError | None = None
        members = (f"/proc/{pid}/ns/{kind}" for pid in self._members.get(inode, ()))
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
        return Namespace(
            inode=inode,
            type=kind,
            parent=said.parent,
            owner_user_ns=said.owner_user_ns,
            owner_uid=said.owner_uid,
            pinned_by=self._holders(inode),
            uid_map=self._map(inode, "uid_map") if mapped else None,
            gid_map=self._map(inode, "gid_map") if mapped else None,
        )

    def _holders(self, inode: int) -> tuple[Pin, ...]:
        """Return its pins; that children go where others are already is nothing to tell."""
        pins = self._pins.get(inode, ())
        if inode in self._members:
            return tuple(pin for pin in pins if pin.kind != "children")
        return tuple(pins)

    def _map(self, inode: int, file: str) -> tuple[IdMap, ...] | None:
        """Return a user namespace's map, as the reader numbers ids; None with no process in it."""
        for pid in self._members.get(inode, ()):
            name = f"proc/{pid}/{file}"
            try:
                return tuple(IdMap(*line) for line in idmap.parse(self._root.read(name)))
            except (Missing, Gone):
                continue
            except CollectError as error:
                self._problems.failed(error)
            except FormatError as error:
                self._problems.malformed(f"/{name}", error)
            return None
        return None
