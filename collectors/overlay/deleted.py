"""Finds files that were deleted and are still open: they take room that no directory walk shows."""

import os
import stat
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.overlay.scan import Budget
from collectors.root import Root

_MARK = " (deleted)"
_MEMORY = ("/memfd:", "/SYSV", "/dev/zero", "/anon_hugepage")
"""What the kernel calls files that never had a name on a filesystem (fs/d_path.c, ipc/shm.c)."""


class Holder(Struct, frozen=True, order=True):
    """Who keeps a file open."""

    pid: int
    fd: int


class DeletedFile(Struct, frozen=True, kw_only=True):
    """A file without a name that a process has open (proc_pid_fd(5))."""

    path: str
    """Where it was, as the process saw it."""
    kind: Literal["file", "memory"]
    size_bytes: int
    disk_bytes: int
    """Blocks in use: they are free when the last holder closes it."""
    device: str
    inode: int
    holders: tuple[Holder, ...]


class DeletedReading(Struct, frozen=True, kw_only=True):
    """The deleted files of some processes, the largest first."""

    files: tuple[DeletedFile, ...]
    complete: bool
    problems: tuple[Problem, ...] = ()


class _Found(Struct):
    path: str
    status: os.stat_result
    holders: list[Holder]


def deleted(
    root: Root, pids: Iterable[int], *, limit: int | None = 50_000, seconds: float | None = 2.0
) -> DeletedReading:
    """Return the deleted regular files that processes have open, each inode once.

    `limit` is how many descriptors are looked at. Descriptors alone are: a file that is only mapped
    is not found. A process that goes away meanwhile is left out.
    """
    budget = Budget(limit, seconds)
    found: dict[tuple[int, int], _Found] = {}
    problems = Problems()
    complete = True
    for pid in pids:
        try:
            with root.directory(f"proc/{pid}/fd", listed=True) as directory:
                complete = _look(directory.fd, pid, directory.names(), budget, found)
        except (Missing, Gone):
            continue
        except CollectError as error:
            problems.failed(error)
        if not complete:
            break
    told = problems.all()
    return DeletedReading(
        files=tuple(sorted(map(_file, found.values()), key=lambda one: -one.disk_bytes)),
        complete=complete and not told,
        problems=told,
    )


def _look(
    dir_fd: int,
    pid: int,
    names: Iterable[str],
    budget: Budget,
    found: dict[tuple[int, int], _Found],
) -> bool:
    """Add one process's; return False when the budget ended."""
    for name in names:
        if not budget.take():
            return False
        try:
            target = os.readlink(name, dir_fd=dir_fd)
            # A name may end like that by itself: only a file that has none is deleted.
            if not target.endswith(_MARK):
                continue
            status = os.stat(name, dir_fd=dir_fd)
        except OSError:
            continue  # closed meanwhile
        if not stat.S_ISREG(status.st_mode) or status.st_nlink:
            continue
        key = (status.st_dev, status.st_ino)
        one = found.setdefault(key, _Found(target.removesuffix(_MARK), status, []))
        one.holders.append(Holder(pid, int(name)))
    return True


def _file(found: _Found) -> DeletedFile:
    status = found.status
    return DeletedFile(
        path=found.path,
        kind="memory" if found.path.startswith(_MEMORY) else "file",
        size_bytes=status.st_size,
        disk_bytes=status.st_blocks * 512,
        device=f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}",
        inode=status.st_ino,
        holders=tuple(sorted(found.holders)),
    )
