"""What the readers of /proc share: which processes there are, each held open while it is read."""

import os
from collections.abc import Iterator
from functools import cache

from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.root import Directory, Root
from runtime.errors import FormatError


def pids(root: Root) -> list[int]:
    """Return the pids that are listed, ascending; raise as `Root.names` does."""
    return sorted(int(name) for name in root.names("proc") if name.isascii() and name.isdigit())


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
