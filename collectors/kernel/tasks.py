"""Reads of each process outside the host's namespaces what is dear: descriptors, sockets, waiting, rlimits."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.members import Kind, Members, namespace
from collectors.root import Directory, Root
from runtime.errors import FormatError

T = TypeVar("T")
_KINDS: tuple[Kind, ...] = ("mnt", "net")
_DESCRIPTORS = 200_000
"""So many are looked at in one reading: about half a second."""


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
    for kind in _KINDS:
        found, refused = who.of(root, kind)
        for problem in refused:
            problems.add(problem)
        host = _host(root, kind)
        wanted.update(pid for inode, pids in found.items() if inode != host for pid in pids)
    looker = _Looker(problems)
    figures: list[Figures] = []
    for pid in sorted(wanted):
        try:
            with root.directory(f"proc/{pid}") as directory:
                figures.append(looker.look(pid, directory))
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
