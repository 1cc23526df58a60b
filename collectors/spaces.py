"""Which namespaces one process is in, and which ones it holds: /proc/PID/ns/* and its descriptors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from collectors.bpf import tasks as tokens
from collectors.errors import CollectError, Denied, Gone, Missing, Problem, Problems
from collectors.formats import ns_link, pid_stat
from collectors.nsfs import TYPES, Type
from collectors.root import Directory, Root
from collectors.table import Entry, Table
from runtime.errors import FormatError

NAME = "namespaces"
"""Under which what was found out is kept with a process."""
UNKNOWN: tuple[int | None, ...] = (None,) * len(TYPES)
NAMED: dict[str, Type] = {kind: kind for kind in TYPES}
_FOR_CHILDREN: tuple[tuple[Type, str], ...] = (("time", "time_for_children"),)
"""pid_for_children tells nothing before that namespace has a process, which is found anyway."""
_LINKS: tuple[str, ...] = (*TYPES, *(file for _, file in _FOR_CHILDREN))
_MANY = 1024
"""A process with more descriptors than this is a server of connections, not a holder of namespaces."""
_DESCRIPTORS = 60_000
"""How many are looked at in all in one walk: about a tenth of a second."""
_CROWD = 200
"""From so many processes on the iterator over all open files is worth its reading."""
_SETS = 4_000
"""So many different sets of links are remembered."""


class Pin(Struct, frozen=True, gc=False):
    """What holds a namespace without being in it.

    A bind mount, an open descriptor, or a process whose next child will be the first one in it.
    """

    kind: Literal["bind", "fd", "children"]
    path: str
    """The mountpoint, `/proc/PID/fd/N` or `/proc/PID/ns/time_for_children`."""
    mount_namespace: int | None = None
    """Of a bind mount: where the mountpoint is. The same one seen in several is told once, in
    the reader's own if it is there."""


class Membership(Struct, frozen=True, gc=False):
    """Which namespaces a process is in; `inodes` has one entry a type of `TYPES`.

    None where the kernel has no such type or would not say. The process is the one with these
    start ticks, so that a pid used again joins with nothing.
    """

    pid: int
    start_ticks: int
    inodes: tuple[int | None, ...]


class IdMap(Struct, frozen=True, gc=False):
    """One line of uid_map or gid_map (user_namespaces(7)): inside, outside, how many."""

    inside: int
    outside: int
    count: int


class Namespace(Struct, frozen=True, kw_only=True, gc=False):
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


Own = tuple[int | None, ...]
_Pinned = tuple[int, Type, Pin]
"""A namespace's inode and type, and what holds it."""


class Spaces(NamedTuple):
    """What one set of links means; most processes of a host share a few of them."""

    inodes: tuple[int | None, ...]
    waiting: tuple[tuple[int, Type, str], ...]
    """Namespaces that only the process's next child will be in, and the link that tells."""


class Seen(NamedTuple):
    """What was found out about one process."""

    walk: int
    membership: Membership | None = None
    """None: it went away, or could not be understood."""
    spaces: Spaces | None = None
    """None where the kernel would not say."""
    pins: tuple[_Pinned, ...] = ()
    unsearched: bool = False
    """Its descriptors were not looked through, for there are too many."""
    problems: tuple[Problem, ...] = ()


def own(root: Root) -> Own:
    """Return the reader's own namespaces; all None in a recorded tree."""
    inodes: list[int | None] = []
    for kind in TYPES:
        try:
            inodes.append(ns_link.parse(root.link(f"proc/self/ns/{kind}"))[1])
        except (CollectError, FormatError):
            inodes.append(None)
    return tuple(inodes)


def init(root: Root, memberships: Sequence[Membership]) -> tuple[int | None, ...]:
    """Return pid 1's namespaces; where they are refused, those of kthreadd, which never leaves them."""
    known = {membership.pid: membership.inodes for membership in memberships[:2]}
    inodes = known.get(1, UNKNOWN)
    if inodes != UNKNOWN or 2 not in known:
        return inodes
    try:
        second = pid_stat.parse(root.read("proc/2/stat"))
    except (CollectError, FormatError):
        return inodes
    return known[2] if second.kernel_thread else inodes


class Looker:
    """Looks at processes, one after the other."""

    def __init__(self, root: Root) -> None:
        """Look through at most `_DESCRIPTORS` descriptors, until `begin` is called again."""
        self._root = root
        self._known: dict[tuple[str | None, ...] | bytes, Spaces] = {}
        self._budget = _DESCRIPTORS
        self._opened_ones: Mapping[int, Sequence[int]] | None = None
        self._untold: frozenset[int] | None = None
        """Processes whose tokens are not the iterator's; None where none is."""

    def begin(self, table: Table, due: int) -> None:
        """Begin a walk, in which so many processes are to be looked at."""
        self._budget = _DESCRIPTORS
        if len(self._known) > _SETS:
            self._known.clear()
        opened = table.opened() if due >= _CROWD else None
        self._opened_ones = opened.namespaces if opened is not None else None
        self._untold = frozenset(table.untold) if table.tells else None

    def look(self, walk: int, pid: int, entry: Entry | None = None) -> Seen:
        """Take in one process; its start is read last, for only one that is still there has it."""
        told = self._untold is not None and pid not in self._untold
        if told and entry is not None and entry.token is not None:
            seen = self._told(walk, entry, entry.token)
            if seen is not None:
                return seen
        problems = Problems()
        try:
            with self._root.directory(f"proc/{pid}/ns") as directory:
                return self._look(walk, pid, directory, problems, entry)
        except (Missing, Gone):
            return Seen(walk)
        except CollectError as error:
            problems.failed(error)
        except FormatError as error:
            problems.malformed(f"/proc/{pid}/stat", error)
        return Seen(walk, problems=problems.all())

    def _told(self, walk: int, entry: Entry, token: bytes) -> Seen | None:
        """Return what the iterator told of a process in this walk; None where it is to be asked itself."""
        ticks = tokens.start_ticks(token)
        key = token[tokens.SPACES]
        spaces = self._known.get(key) or self._understand(key, token)
        if spaces is None or entry.ticks not in {None, ticks}:
            return None
        entry.ticks = ticks
        member = Membership(entry.pid, ticks, spaces.inodes)
        opened = self._opened_ones
        if opened is not None and entry.pid not in opened and not spaces.waiting:
            return Seen(walk, member, spaces)
        problems = Problems()
        pins = _waiting(entry.pid, spaces)
        try:
            searched = self._searched(entry.pid, problems, pins)
        except (Missing, Gone):
            return Seen(walk)
        except CollectError as error:
            problems.failed(error)
            searched = True
        said = problems.all()
        return Seen(walk, member, spaces, tuple(pins), unsearched=not searched, problems=said)

    def _understand(self, key: bytes, token: bytes) -> Spaces | None:
        """Return what a set of namespaces that was not met before means; None where it is not told."""
        found = tokens.inodes(token)
        if found is None:
            return None
        inodes = tuple(getattr(found, kind) for kind in TYPES)
        waiting: list[tuple[int, Type, str]] = [
            (getattr(found, file), kind, file)
            for kind, file in _FOR_CHILDREN
            if getattr(found, file) not in inodes
        ]
        spaces = self._known[key] = Spaces(inodes, tuple(waiting))
        return spaces

    def _searched(self, pid: int, problems: Problems, pins: list[_Pinned]) -> bool:
        """Add the open namespaces of a process; return whether all were looked through."""
        if self._opened_ones is None:
            with self._root.directory(f"proc/{pid}/ns") as directory:
                return self._descriptors(pid, directory, problems, pins)
        for number in self._opened_ones.get(pid, ()):
            name = f"proc/{pid}/fd/{number}"
            try:
                _pinned(self._root.link(name), f"/{name}", problems, pins)
            except (Missing, Gone):
                continue
            except CollectError as error:
                problems.failed(error)
        return True

    def _look(
        self, walk: int, pid: int, directory: Directory, problems: Problems, entry: Entry | None
    ) -> Seen:
        spaces = self._spaces(directory, problems)
        stat = directory.read("../stat")
        if entry is None or entry.ticks is None or entry.stat is None:
            parsed = pid_stat.parse(stat)
            ticks = parsed.start_ticks
            if entry is not None:
                entry.identify(parsed)
        else:
            ticks = pid_stat.start_ticks(stat)
            if ticks != entry.ticks:
                return Seen(walk)
        if spaces is None:
            unknown = Membership(pid, ticks, UNKNOWN)
            return Seen(walk, unknown, problems=problems.all())
        pins = _waiting(pid, spaces)
        searched = self._descriptors(pid, directory, problems, pins)
        member = Membership(pid, ticks, spaces.inodes)
        return Seen(
            walk, member, spaces, tuple(pins), unsearched=not searched, problems=problems.all()
        )

    def _spaces(self, directory: Directory, problems: Problems) -> Spaces | None:
        """Return what its links say; a zombie lacks most of them. None where they are refused."""
        try:
            links = directory.links(_LINKS)
        except Denied as error:
            problems.failed(error)
            return None
        spaces = self._known.get(links)
        if spaces is None:
            spaces = self._known[links] = _understood(links, directory, problems)
        return spaces

    def _descriptors(
        self,
        pid: int,
        directory: Directory,
        problems: Problems,
        pins: list[_Pinned],
    ) -> bool:
        """Add the open namespaces among a process's files; return whether they were looked through."""
        try:
            with directory.directory("../fd") as files:
                links = self._opened(files)
        except (Missing, Gone):
            return True
        except CollectError as error:
            problems.failed(error)
            return True
        if links is None:
            return False
        for number, link in links:
            if link is not None:
                _pinned(link, f"/proc/{pid}/fd/{number}", problems, pins)
        return True

    def _opened(self, files: Directory) -> Iterable[tuple[str, str | None]] | None:
        """Return a process's descriptors and what their links say, as long as that costs little."""
        # Since Linux 6.2 the directory's size is how many there are.
        many = self._root.live and files.size() > _MANY
        if many or self._budget <= 0:
            return None
        numbers = files.names()
        self._budget -= len(numbers)
        return zip(numbers, files.links(numbers), strict=True)


def _waiting(pid: int, spaces: Spaces) -> list[_Pinned]:
    return [
        (inode, kind, Pin("children", f"/proc/{pid}/ns/{file}"))
        for inode, kind, file in spaces.waiting
    ]


def _pinned(link: str, path: str, problems: Problems, pins: list[_Pinned]) -> None:
    """Add what an open descriptor's link says, if it is a namespace: a pipe's has the same form."""
    kind = NAMED.get(link.partition(":")[0]) if ":[" in link and link[0] != "/" else None
    if kind is None:
        return
    try:
        pins.append((ns_link.parse(link)[1], kind, Pin("fd", path)))
    except FormatError as error:
        problems.malformed(path, error)


def _understood(links: Sequence[str | None], directory: Directory, problems: Problems) -> Spaces:
    found: dict[str, int | None] = {}
    for file, link in zip(_LINKS, links, strict=True):
        try:
            found[file] = None if link is None else ns_link.parse(link)[1]
        except FormatError as error:
            problems.malformed(directory.path(file), error)
            found[file] = None
    inodes = tuple(found[kind] for kind in TYPES)
    waiting: list[tuple[int, Type, str]] = []
    for kind, file in _FOR_CHILDREN:
        inode = found[file]
        if inode is not None and inode not in inodes:
            waiting.append((inode, kind, file))
    return Spaces(inodes, tuple(waiting))
