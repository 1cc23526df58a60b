"""Reads of each process outside the host's namespaces what is dear: descriptors, sockets, waiting, rlimits."""

import os
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct, structs

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.members import Kind, Members, mounts_of, namespace
from collectors.root import Directory, Root
from runtime.errors import FormatError

T = TypeVar("T")
_KINDS: tuple[Kind, ...] = ("mnt", "net")
_DESCRIPTORS = 200_000
"""So many are looked at in one reading: about half a second."""


_LOCAL = frozenset(
    {"overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "squashfs", "erofs"}
)
"""Filesystems that answer by themselves: others could keep whoever asks waiting for ever."""


class Filesystem(Struct, frozen=True, kw_only=True, gc=False):
    """What is left of the filesystem that is a namespace's root (statvfs(3)); an overlay's upper one's."""

    size_bytes: int
    free_bytes: int
    available_bytes: int
    """To who is not root."""
    inodes: int
    """0 where it makes them as they are needed."""
    inodes_free: int


class Figures(Struct, frozen=True, kw_only=True, gc=False):
    """One process; what could not be read is None."""

    pid: int
    descriptors: int | None
    sockets: int | None
    """Among its descriptors; None too where there are too many to look at."""
    run_usec: int | None
    """On a processor, of its first thread."""
    wait_usec: int | None
    """Ready to run, with others on the processor."""
    timeslices: int | None
    open_files: tuple[int | None, int | None] | None
    """RLIMIT_NOFILE, soft and hard; None within it is unlimited."""
    processes: tuple[int | None, int | None] | None
    """RLIMIT_NPROC, which counts all of a user's."""
    filesystem: Filesystem | None = None
    """Told with the first process of each mount namespace."""


class TasksReading(Struct, frozen=True):
    """Every process that is in a mount or network namespace other than process 1's."""

    figures: tuple[Figures, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("tasks", TasksReading)


def read(root: Root, who: Members | None = None) -> TasksReading:
    """Read them; one that goes away meanwhile is left out."""
    who = who or Members()
    problems = Problems()
    wanted: set[int] = set()
    first: set[int] = set()
    for kind in _KINDS:
        found, refused = who.of(root, kind)
        for problem in refused:
            problems.add(problem)
        host = _host(root, kind)
        own = [pids for inode, pids in found.items() if inode != host]
        wanted.update(pid for pids in own for pid in pids)
        if kind == "mnt":
            first.update(pids[0] for pids in own)
    looker = _Looker(problems)
    figures: list[Figures] = []
    for pid in sorted(wanted):
        try:
            with root.directory(f"proc/{pid}") as directory:
                filesystem = _filesystem(root, pid, who) if pid in first else None
                figures.append(structs.replace(looker.look(pid, directory), filesystem=filesystem))
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
    return TasksReading(tuple(figures), problems.all())


def _host(root: Root, kind: Kind) -> int | None:
    for pid in (1, "self"):
        try:
            return namespace(root, pid, kind)
        except CollectError:
            continue
    return None


def _filesystem(root: Root, pid: int, who: Members) -> Filesystem | None:
    try:
        mounts = mounts_of(root, pid, who.tables)
        top = [mount for mount in mounts if mount.mountpoint == "/"][-1:]
        if not top or top[0].fstype not in _LOCAL or not root.live:
            return None
        said = os.statvfs(root.resolve(f"proc/{pid}/root"))
    except (CollectError, OSError):
        return None  # it went away: its other figures tell that
    return Filesystem(
        size_bytes=said.f_blocks * said.f_frsize,
        free_bytes=said.f_bfree * said.f_frsize,
        available_bytes=said.f_bavail * said.f_frsize,
        inodes=said.f_files,
        inodes_free=said.f_ffree,
    )


class _Looker:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._budget = _DESCRIPTORS

    def look(self, pid: int, directory: Directory) -> Figures:
        descriptors, sockets = self._descriptors(directory)
        # Not loaded by what does not ask for it.
        from collectors.formats import pid_limits, schedstat  # noqa: PLC0415

        limits = self._read(directory, "limits", pid_limits.parse) or {}
        time = self._read(directory, "schedstat", schedstat.parse)
        return Figures(
            pid=pid,
            descriptors=descriptors,
            sockets=sockets,
            run_usec=time.run_usec if time is not None else None,
            wait_usec=time.wait_usec if time is not None else None,
            timeslices=time.timeslices if time is not None else None,
            open_files=limits.get("open files"),
            processes=limits.get("processes"),
        )

    def _read(self, directory: Directory, name: str, parse: Callable[[bytes], T]) -> T | None:
        try:
            return parse(directory.read(name))
        except Gone:
            raise
        except Missing:
            return None  # the kernel was built without it
        except CollectError as error:
            self._problems.failed(error)
        except FormatError as error:
            self._problems.malformed(directory.path(name), error)
        return None

    def _descriptors(self, directory: Directory) -> tuple[int | None, int | None]:
        try:
            with directory.directory("fd") as files:
                names = files.names()
                self._budget -= len(names)
                if self._budget < 0:
                    return len(names), None
                links = files.links(names)
        except (Missing, Gone):
            raise
        except CollectError as error:
            self._problems.failed(error)
            return None, None
        return len(names), sum(link is not None and link.startswith("socket:[") for link in links)
