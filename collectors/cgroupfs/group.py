"""A cgroup's open directory, each of whose files costs itself only, and what is kept of cgroups between readings."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Self, TypeVar, cast

from collectors.cgroupfs.records import Cgroup, Depth, Hierarchy
from collectors.errors import CollectError, Gone, Missing, Problems
from collectors.formats import cpuset, scalar
from collectors.kept import File, Kept
from collectors.root import Directory, Root
from runtime.errors import FormatError
from runtime.formats import flat, text

T = TypeVar("T")


_STATIC = (
    ".max",
    ".min",
    ".low",
    ".high",
    ".weight",
    ".shares",
    "_us",
    "limit_in_bytes",
    ".idle",
    ".burst",
    ".type",
    ".controllers",
    ".subtree_control",
    ".group",
    ".cpus",
    ".mems",
    ".effective",
    "effective_cpus",
    "effective_mems",
    "_device",
    ".partition",
    ".depth",
    ".descendants",
    ".swappiness",
    "_migrate",
    ".writeback",
)
"""How the names of files end that change only when somebody writes them, there or above."""
PULSES = (
    "cpu.stat",
    "cpuacct.usage",
    "memory.current",
    "memory.usage_in_bytes",
    "pids.current",
    "freezer.state",
    "io.stat",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)
"""What is read of every cgroup in every frame: while these say the same, nothing ran and nothing grew."""
MEMBERS = "cgroup.procs"
"""It has a member a line. And version 1 lists them when it is first read, and tells an open file the
same for a second after each reading (cgroup_pidlist_start): so it is opened each time."""
_PULSES = frozenset((*PULSES, MEMBERS))


@cache
def is_static(file: str) -> bool:
    """Return whether a file says a rule, not a number that goes up and down by itself."""
    return file.endswith(_STATIC)


def is_handed_down(file: str) -> bool:
    """Return whether those below it say another thing too when it is written."""
    return is_static(file) or file == "freezer.state"


class Memory:
    """What is known of a cgroup from the readings before."""

    __slots__ = (
        "bytes",
        "children",
        "directory",
        "files",
        "handles",
        "inode",
        "members",
        "pulse",
        "values",
    )

    def __init__(
        self, directory: str, inode: int, files: frozenset[str], children: Sequence[str]
    ) -> None:
        self.directory = directory
        """Its name within the root."""
        self.inode = inode
        self.files = _shared(files)
        self.children = children
        self.members: int | None = None
        """How many processes are in it, where that is known without its file."""
        self.pulse: dict[str, bytes] = {}
        """What the files of `PULSES` said in the first reading."""
        self.values: dict[str, object] = {}
        """What the files that seldom change said."""
        self.bytes: dict[str, bytes] = {}
        """What has been read in this frame already."""
        self.handles: dict[str, File] = {}

    def handle(self, file: str) -> File:
        """Return the file to be read again and again."""
        handle = self.handles.get(file)
        if handle is None:
            handle = self.handles[file] = File(f"{self.directory}/{file}")
        return handle


@cache
def _shared(files: frozenset[str]) -> frozenset[str]:
    """Return the same object for all cgroups with these files: what is worked out of them is kept by it."""
    return files


class Group:
    """An open cgroup. Every reader returns None for a file that is not there or could not be read.

    Which files there are was listed once, so that none is asked for in vain. When the cgroup was
    removed meanwhile they raise `Gone`, for half a cgroup is none.
    """

    __slots__ = ("_all", "_directory", "_kept", "_problems", "_root", "hierarchy", "memory", "path")

    def __init__(
        self, root: Root, hierarchy: Hierarchy, path: str, problems: Problems, memory: Memory
    ) -> None:
        self.hierarchy = hierarchy
        self.path = text.clean(path)
        self.memory = memory
        self._root = root
        self._problems = problems
        self._directory: Directory | None = None
        self._kept: Kept | None = None
        self._all = True

    @classmethod
    def open(
        cls,
        root: Root,
        hierarchy: Hierarchy,
        path: str,
        problems: Problems,
        files: frozenset[str] | None = None,
    ) -> Self:
        """List one by its path below the mounted root, and keep its directory open until `close`.

        One that has none below it is not listed where `files` are said. Raises as `Root.directory` does.
        """
        name = f"{hierarchy.mountpoint}{path.rstrip('/')}"
        if files is not None:
            directory = root.directory(name)
            inode = directory.leaf()
            if inode is not None:
                self = cls(root, hierarchy, path, problems, Memory(name, inode, files, ()))
                self._directory = directory
                return self
            os.close(directory.fd)
        directory = root.directory(name, listed=True)
        try:
            found, below = (directory.counted_entries if root.live else directory.entries)()
            memory = Memory(name, directory.inode(), frozenset(found), sorted(below))
        except BaseException:
            os.close(directory.fd)
            raise
        self = cls(root, hierarchy, path, problems, memory)
        self._directory = directory
        return self

    def reopen(self) -> None:
        """Open its directory again, until `close`; raise `Gone` where that is another cgroup's now."""
        try:
            directory = self._root.directory(self.memory.directory)
        except Missing as error:
            raise Gone(error.path, error.operation, error.message) from error
        self._directory = directory
        if directory.inode() != self.memory.inode:
            self.close()
            raise self._replaced()

    def again(self, problems: Problems, kept: Kept | None, *, everything: bool) -> None:
        """Begin another reading of it; what is static is read only if `everything` is.

        What changes is read by `kept`, or opened each time.
        """
        self._problems = problems
        self._kept = kept
        self._all = everything
        if everything:
            self.memory.values.clear()  # those that only `depth` asks for are read again then, too

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its directory; what is read later is opened by its path."""
        directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory.fd)

    def __contains__(self, file: str) -> bool:
        return file in self.memory.files

    @property
    def inode(self) -> int:
        """The directory's: it tells a cgroup from a later one of the same path."""
        return self.memory.inode

    def read(self, file: str, parse: Callable[[bytes], T]) -> T | None:
        """Return what a file says."""
        memory = self.memory
        if file not in memory.files:
            return None
        static = is_static(file)
        if static and not self._all and file in memory.values:
            return cast("T | None", memory.values[file])
        try:
            value = parse(self.bytes(file))
        except FormatError as error:
            self._problems.malformed(self._path(file), error)
        except CollectError as error:
            self.check_alive()
            if not isinstance(error, Missing):  # a controller that was just taken away
                self._problems.failed(error)
        else:
            if static:
                memory.values[file] = value
            return value
        return None

    def bytes(self, file: str) -> bytes:
        """Return a file's bytes, read once in a frame; raise as `Root.read` does."""
        memory = self.memory
        data = memory.bytes.pop(file, None) if memory.bytes else None
        if data is not None:
            return data
        if self._kept is not None and file != MEMBERS and not is_static(file):
            return self._kept.read(memory.handle(file))
        if self._directory is None:
            return self._root.told(f"{memory.directory}/{file}")
        data = self._directory.told(file)
        if file in _PULSES:
            memory.pulse[file] = data
        return data

    def number(self, file: str) -> int | None:
        """Return a file's number."""
        return self.read(file, scalar.number)

    def limit(self, file: str) -> int | None:
        """Return a limit, None for `max` too."""
        return self.read(file, scalar.limit)

    def flat(self, file: str) -> Mapping[str, int]:
        """Return a flat keyed file, empty where there is none."""
        return self.read(file, flat.parse) or {}

    def members(self) -> int | None:
        """Return how many processes are in it itself."""
        if self.memory.members is not None:
            return self.memory.members
        return self.read(MEMBERS, _lines)

    def cpus_or_nodes(self, *files: str) -> str | None:
        """Return the first list among the files that is there and not empty."""
        for file in files:
            if listed := self.read(file, cpuset.parse):
                return listed
        return None

    def _path(self, file: str) -> str:
        """Return a file's absolute path within the root, for a problem to name it."""
        return os.path.normpath(text.clean(f"/{self.memory.directory.lstrip('/')}/{file}"))

    def check_alive(self) -> None:
        """Raise `Gone` when the path does not lead here any more."""
        try:
            with self._root.directory(self.memory.directory) as now:
                same = now.inode() == self.memory.inode
        except Missing as error:
            raise Gone(error.path, error.operation, error.message) from error
        if not same:
            raise self._replaced()

    def _replaced(self) -> Gone:
        return Gone(self._path(""), "open", "another cgroup has its path now")


class Known:
    """One cgroup as it was last read."""

    __slots__ = (
        "below",
        "depth",
        "falling",
        "files",
        "group",
        "key",
        "name",
        "period",
        "place",
        "pulse",
        "pulses",
        "record",
        "relist",
        "reread",
        "seen",
        "stirred",
        "touched",
        "tree",
        "wake",
        "watch",
    )

    def __init__(self, tree: "Tree", key: tuple[str, str], group: Group) -> None:
        self.tree = tree
        self.key = key
        self.group = group
        self.below: Sequence[str] = ()
        """The paths of those below it, the last first."""
        self.name: tuple[frozenset[str], str] | None = None
        """As processes tell it; None where they do not."""
        self.record: Cgroup | None = None
        self.depth: Depth | None = None
        """What was read besides, when the record last was."""
        self.pulse: tuple[bytes, ...] = ()
        self.files: list[str] = []
        """Those that are its pulse."""
        self.pulses: list[File] = []
        self.falling = 0
        """As `v2.falling` says."""
        self.touched = False
        """Whether a rule of it was written since."""
        self.reread = False
        """Whether its files were read since it was last asked."""
        self.relist = False
        """Whether cgroups were made or removed below it since."""
        self.watch = -1
        """The listener's; -1 where it could not be watched, and is listed each time."""
        self.seen = 0
        self.stirred = 0
        """The last frame before which something ran in it."""
        self.period = 1
        """In every how many frames it is visited while nothing is heard of it."""
        self.wake = 0
        """The frame of the next visit."""
        self.place = 0
        """Which of its tree it is."""


class Tree:
    """One hierarchy's cgroups as they were last met, each before those below it."""

    __slots__ = ("due", "files", "hierarchy", "known", "records", "seen", "whole")

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.hierarchy = hierarchy
        self.known: list[Known] = []
        self.records: list[Cgroup] = []
        self.whole = False
        """Whether they are all there still: of each it would be heard that one was made or removed."""
        self.due: dict[int, list[Known]] = {}
        """Whom to visit in which frame, who then sleeps until a later one excepted."""
        self.files: tuple[int, frozenset[str]] = (0, frozenset())
        """Those of every cgroup but the root, as a frame had them."""
        self.seen = 0

    def is_same(self, hierarchy: Hierarchy) -> bool:
        """Return whether this is still what is mounted there; version 2 gets other controllers."""
        mine = self.hierarchy
        return (mine.version, mine.root) == (hierarchy.version, hierarchy.root) and (
            mine.version == 2 or mine.controllers == hierarchy.controllers
        )


def pulse_files(files: frozenset[str]) -> list[str]:
    """Return those that are its pulse."""
    found = [one for one in PULSES if one in files and f"{one}_recursive" not in files]
    return found or [MEMBERS]


def _lines(data: bytes) -> int:
    return data.count(b"\n")
