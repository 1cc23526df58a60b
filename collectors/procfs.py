"""What the readers of /proc share: which processes there are, each held open while it is read."""

import os
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.formats.pid_stat import PidStat
from collectors.root import Directory, Root
from runtime.errors import FormatError

if TYPE_CHECKING:
    from collectors.kept import File


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


def pids(root: Root) -> list[int]:
    """Return the pids that are listed, ascending; raise as `Root.names` does."""
    return sorted(int(name) for name in root.names("proc") if name.isascii() and name.isdigit())


def has_many(root: Root, many: int) -> bool:
    """Return whether about so many processes, or more, are there.

    The kernel counts them as links of its /proc (fs/proc/root.c), beside some twenty other directories.
    """
    try:
        return os.stat(root.resolve("proc")).st_nlink >= many
    except OSError:
        return False


class Untold:
    """Knows whether as many threads as before are there that an iterator does not tell of."""

    def __init__(self) -> None:
        """Know of none."""
        self._missing: int | None = 0

    def renew(self, root: Root, told: int) -> bool:
        """Take how many were told of; return whether others, or more, may be missing than before."""
        before = self._missing
        try:
            self._missing = int(root.read("proc/loadavg").split()[3].partition(b"/")[2]) - told
        except (CollectError, IndexError, ValueError):
            self._missing = None
        return self._missing is None or self._missing != before


def opened(root: Root, problems: Problems, below: str = "") -> Iterator[tuple[int, Directory]]:
    """Yield each process with its directory, or the one called `below` in it, open.

    One that exited meanwhile is left out; one that may not be looked at is a problem.
    """
    numbers = pids(root)
    limits(root, numbers, problems)
    for pid in numbers:
        try:
            directory = root.directory(f"proc/{pid}{below}")
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
            continue
        with directory:
            yield pid, directory


def limits(root: Root, numbers: list[int], problems: Problems) -> None:
    """Say so when this /proc does not show all, or not what this process's own pids name."""
    if root.live and not _own():
        problems.add(
            Problem(
                "/proc",
                "readlink",
                "unavailable",
                "/proc shows another pid namespace than this process's: pids are that one's, "
                "and nothing can be done to its processes from here",
            )
        )
    # Every pid namespace has a pid 1.
    if numbers and numbers[0] != 1:
        problems.add(
            Problem(
                "/proc",
                "readdir",
                "denied",
                "pid 1 is not listed: /proc is mounted with hidepid, other users' processes are hidden",
            )
        )


@cache
def _own() -> bool:
    """Tell whether /proc is of this process's own pid namespace (pid_namespaces(7))."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def own_pid(root: Root) -> int:
    """Return the reader's pid as this /proc numbers it; 0 where it has none, as in a recorded tree."""
    try:
        target = root.link("proc/self")
    except CollectError:
        return 0
    return int(target) if target.isascii() and target.isdigit() else 0


def mounted(root: Root) -> bool:
    """Tell a kernel's /proc, this host's or a mounted one's, from the files of a recorded tree."""
    return root.live or os.path.ismount(root.resolve("proc"))


def malformed(directory: Directory, file: str, error: FormatError, problems: Problems) -> None:
    """Add a file of an open directory that was not understood."""
    problems.malformed(directory.path(file), error)


def what_tells(root: Root) -> str:
    """Return the file that tells of running; schedstat is zeros where the kernel does not count."""
    process = "self" if root.live else "1"
    try:
        data = root.read(f"proc/{process}/schedstat")
    except CollectError:
        return "stat"
    return "stat" if data.split() == [b"0", b"0", b"0"] or not data.strip() else "schedstat"
