"""Walks an upper directory and tells what it changes; descriptors all the way, no link followed."""

import errno
import os
import stat
import time
from collections.abc import Sequence
from contextlib import closing

from msgspec import Struct

from collectors.errors import CollectError
from collectors.overlay.lower import Hit, LowerDirectory, Lowers, Place
from collectors.overlay.marks import FUSE_FILES, Marks
from collectors.overlay.records import (
    ChangeKind,
    FileChange,
    LayerSize,
    Overlay,
    UpperReading,
)
from collectors.root import Root, translate
from collectors.syscalls import open_beneath

_CLOCK_EVERY = 64
"""Entries between two looks at the clock."""


class Budget:
    """When a walk stops: after so many entries, or so many seconds; None is no end."""

    def __init__(self, entries: int | None = None, seconds: float | None = None) -> None:
        """Start the clock."""
        self._entries = entries
        self._until = None if seconds is None else time.monotonic() + seconds
        self._spent = 0

    def take(self) -> bool:
        """Take one entry; return whether the budget still allowed it."""
        self._spent += 1
        if self._entries is not None and self._spent > self._entries:
            return False
        if self._until is None or self._spent % _CLOCK_EVERY:
            return True
        return time.monotonic() < self._until


def scan(
    root: Root, overlay: Overlay, *, limit: int | None = None, seconds: float | None = None
) -> UpperReading:
    """Return what an overlay's upper directory holds, compared with its lower ones.

    Raises `CollectError` naming the directory that could not be opened. Without `limit` (entries)
    and `seconds` everything is walked, however much that is. A directory that goes away meanwhile
    is left out; one that may not be read, and a lower layer that cannot be opened, so that nothing
    compares with it, make the answer incomplete.
    """
    if overlay.upperdir is None:
        raise ValueError("an overlay without an upper directory has nothing to walk")
    marks = Marks("user.overlay." if "userxattr" in overlay.options else "trusted.overlay.")
    walked_at = time.monotonic()
    upper_fd = open_root(root, overlay.upperdir)
    try:
        with closing(Lowers([try_root(root, one) for one in overlay.lowerdirs], marks)) as lowers:
            walk = _Walk(upper_fd, Budget(limit, seconds), marks, lowers)
            walk.run(lowers.top())
            walk.complete = walk.complete and not lowers.missing
    except OSError as error:
        raise translate(error, overlay.upperdir, "walk") from error
    finally:
        os.close(upper_fd)
    return UpperReading(
        upperdir=overlay.upperdir,
        size_bytes=walk.tally.size_bytes,
        inodes=walk.tally.inodes,
        changes=tuple(sorted(walk.changes, key=lambda change: change.path)),
        complete=walk.complete,
        walked_at=walked_at,
    )


def layer_sizes(
    root: Root,
    directories: Sequence[str],
    *,
    limit: int | None = None,
    seconds: float | None = None,
) -> tuple[LayerSize, ...]:
    """Return how much each of some layers takes; the budget is for all of them together.

    Raises `CollectError` naming the one that could not be opened.
    """
    budget = Budget(limit, seconds)
    sizes: list[LayerSize] = []
    for directory in directories:
        fd = open_root(root, directory)
        try:
            walk = _Walk(fd, budget, Marks("trusted.overlay."), None)
            walk.run(())
        except OSError as error:
            raise translate(error, directory, "walk") from error
        finally:
            os.close(fd)
        sizes.append(
            LayerSize(
                path=directory,
                size_bytes=walk.tally.size_bytes,
                inodes=walk.tally.inodes,
                complete=walk.complete,
            )
        )
    return tuple(sizes)


class _Tally(Struct):
    """Adds up disk use, each inode once."""

    size_bytes: int = 0
    inodes: int = 0
    _seen: set[tuple[int, int]] = set()

    def add(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            key = (status.st_dev, status.st_ino)
            if key in self._seen:
                return
            self._seen.add(key)
        self.inodes += 1
        self.size_bytes += status.st_blocks * 512


class _Walk:
    """One walk: depth first, one directory open at a time, so that depth costs no descriptors."""

    def __init__(self, fd: int, budget: Budget, marks: Marks, lowers: Lowers | None) -> None:
        self._fd = fd
        self._budget = budget
        self._marks = marks
        self._lowers = lowers
        self._device = os.fstat(fd).st_dev
        self._waiting: list[tuple[str, tuple[Place, ...]]] = []
        self.tally = _Tally()
        self.changes: list[FileChange] = []
        self.complete = True

    def run(self, top: tuple[Place, ...]) -> None:
        self.tally.add(os.fstat(self._fd))
        self._waiting.append(("", top))
        while self._waiting:
            path, places = self._waiting.pop()
            fd = self._open(path)
            if fd is None:
                continue
            try:
                if not self._directory(fd, path, places):
                    self.complete = False
                    return
            finally:
                os.close(fd)

    def _open(self, path: str) -> int | None:
        try:
            return open_beneath(self._fd, path)
        except PermissionError:
            self.complete = False
        except OSError as error:
            # It went away, or became something else, after it was listed.
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV}:
                raise
        return None

    def _directory(self, fd: int, path: str, places: tuple[Place, ...]) -> bool:
        """Walk one directory; return False when the budget ended."""
        if self._lowers is None:
            return self._entries(fd, path, None)
        with self._lowers.at(places) as lower:
            return self._entries(fd, path, lower)

    def _entries(self, fd: int, path: str, lower: LowerDirectory | None) -> bool:
        by_attribute = lower is not None and self._marks.of_directory(fd, ".").holds_whiteouts
        with os.scandir(fd) as entries:
            for entry in entries:
                if not self._budget.take():
                    return False
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if status.st_dev != self._device:
                    continue
                self.tally.add(status)
                whole = f"{path}/{entry.name}" if path else entry.name
                if lower is not None:
                    deletes = self._marks.is_whiteout(
                        fd, entry.name, status, by_attribute=by_attribute
                    )
                    self._compare(_Entry(fd, entry.name, whole, status), lower, deletes=deletes)
                elif stat.S_ISDIR(status.st_mode):
                    self._waiting.append((whole, ()))
        return True

    def _compare(self, entry: "_Entry", lower: LowerDirectory, *, deletes: bool) -> None:
        hit = lower.find(entry.name)
        layer = None if hit is None else hit.layer
        kind: ChangeKind
        if deletes:
            if entry.name in FUSE_FILES:
                return
            kind = "deleted"
        elif stat.S_ISDIR(entry.status.st_mode):
            marks = self._marks.of_directory(entry.dir_fd, entry.name)
            below = lower.below(entry.name, marks)
            self._waiting.append((entry.path, below))
            if marks.redirect is not None:
                kind, layer = "redirected", below[0].layer if below else None
            elif marks.opaque and hit is not None and stat.S_ISDIR(hit.status.st_mode):
                kind = "opaque"
            else:
                kind = _directory_kind(entry.status, hit)
        elif self._marks.is_metacopy(entry.dir_fd, entry.name, entry.status):
            kind = "metacopy"
        else:
            kind = _file_kind(entry.status, hit)
        self.changes.append(_change(entry, kind, hit, layer=layer))


class _Entry(Struct, frozen=True):
    dir_fd: int
    name: str
    path: str
    status: os.stat_result


def _change(entry: _Entry, kind: ChangeKind, hit: Hit | None, *, layer: int | None) -> FileChange:
    deleted = kind == "deleted"
    like = hit.status if deleted and hit is not None else entry.status
    return FileChange(
        path=f"/{entry.path}",
        kind=kind,
        size_bytes=0 if deleted else entry.status.st_size,
        is_directory=stat.S_ISDIR(like.st_mode),
        layer=layer,
        modified_at=None if deleted else entry.status.st_mtime,
    )


def _directory_kind(status: os.stat_result, hit: Hit | None) -> ChangeKind:
    if hit is None:
        return "added"
    same = hit.covered or (
        (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
        == (hit.status.st_mode, hit.status.st_uid, hit.status.st_gid, hit.status.st_mtime_ns)
    )
    return "copied_up" if same else "modified"


def _file_kind(status: os.stat_result, hit: Hit | None) -> ChangeKind:
    if hit is None:
        return "added"
    # A copy-up keeps the time of the last write: another one means that there was a write since.
    same = (
        stat.S_IFMT(status.st_mode) == stat.S_IFMT(hit.status.st_mode)
        and status.st_size == hit.status.st_size
        and status.st_mtime_ns == hit.status.st_mtime_ns
        and status.st_rdev == hit.status.st_rdev
    )
    return "copied_up" if same else "modified"


def open_root(root: Root, directory: str) -> int:
    """Open a layer's directory, which the caller closes; raise `CollectError` naming it."""
    root.reads.files += 1
    try:
        return os.open(root.resolve(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, directory, "open") from error


def try_root(root: Root, directory: str) -> int | None:
    """Open a layer's directory; None where that fails."""
    try:
        return open_root(root, directory)
    except CollectError:
        return None
