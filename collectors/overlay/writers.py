"""Finds the processes that have files open for writing, by their descriptors (proc_pid_fdinfo(5))."""

import os
from collections.abc import Collection, Iterable, Mapping

from collectors.errors import CollectError, Gone, Missing
from collectors.overlay.deleted import Holder
from collectors.overlay.scan import Budget
from collectors.root import Directory, Root


def writers(
    root: Root,
    pids: Iterable[int],
    paths: Collection[str],
    *,
    limit: int | None = 50_000,
    seconds: float | None = 2.0,
) -> Mapping[str, tuple[Holder, ...]]:
    """Return who has each of these paths open for writing, as the processes themselves see them.

    `limit` is how many descriptors are looked at. A process that goes away meanwhile, or may not be
    looked at, is left out; so is who opened a file, wrote and closed it.
    """
    budget = Budget(limit, seconds)
    found: dict[str, list[Holder]] = {}
    for pid in pids:
        try:
            if not _look(root, pid, paths, budget, found):
                break
        except CollectError:
            continue
    return {path: tuple(sorted(holders)) for path, holders in found.items()}


def _look(
    root: Root,
    pid: int,
    paths: Collection[str],
    budget: Budget,
    found: dict[str, list[Holder]],
) -> bool:
    """Add one process's; return False when the budget ended."""
    with root.directory(f"proc/{pid}") as process, process.directory("fd") as files:
        for name in files.names():
            if not budget.take():
                return False
            path = _written(process, files, name, paths)
            if path is not None:
                found.setdefault(path, []).append(Holder(pid, int(name)))
    return True


def _written(process: Directory, files: Directory, name: str, paths: Collection[str]) -> str | None:
    """Return the path that a descriptor can write to, when it is one of these."""
    try:
        path = files.link(name)
        if path not in paths:
            return None
        for line in process.read(f"fdinfo/{name}").splitlines():
            key, _, value = line.partition(b":")
            if key == b"flags":
                return path if int(value, 8) & os.O_ACCMODE else None
    except (Missing, Gone, ValueError):
        pass  # closed meanwhile
    return None
