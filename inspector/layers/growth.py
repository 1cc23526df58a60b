"""How an upper directory grew between two walks, and which paths were written most. Pure.

What was written is a lower bound: a file's growth, all of one that is new. A file that was written
over in place without growing is told as `rewritten`, how much of it nobody can say.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from collectors.overlay.records import FileChange, UpperReading

TOP: Final = 20
"""Paths and directories that are told one by one: those with the most bytes."""

What = Literal["new", "grew", "rewritten", "shrank", "gone"]


class PathGrowth(Struct, frozen=True, kw_only=True):
    """One path that is not as it was."""

    path: str
    what: What
    size_bytes: int
    """Now; 0 for what is gone."""
    grown_bytes: int
    """Negative where it shrank or went."""
    written_bytes: int
    """At least so many."""
    is_directory: bool


class DirectoryGrowth(Struct, frozen=True, kw_only=True):
    """What was written in a directory and below it."""

    path: str
    written_bytes: int
    files: int


class Growth(Struct, frozen=True, kw_only=True):
    """What became of an upper directory between two walks; `complete` false: at least that."""

    seconds: float
    """From the one to the other."""
    size_bytes: int
    """Disk blocks in use now, as `changes.size_bytes` has it."""
    grown_bytes: int
    """Disk blocks, negative where it shrank."""
    bytes_per_second: float | None
    written_bytes: int
    """Over all paths: more than it grew by where files came and went."""
    new: int
    grew: int
    rewritten: int
    shrank: int
    gone: int
    paths: tuple[PathGrowth, ...]
    """The most written first, then what was rewritten; at most `top`."""
    directories: tuple[DirectoryGrowth, ...]
    """The most written first; one whose bytes are all in one directory below is left out."""
    complete: bool


def growth(before: UpperReading, after: UpperReading, *, top: int = TOP) -> Growth:
    """Compare two walks of one upper directory in one pass over both, which are sorted by path.

    Where a walk was cut short by its budget, a path that only one of them has tells nothing: it is
    left out. Raises `ValueError` when they are of two directories.
    """
    if before.upperdir != after.upperdir:
        raise ValueError(f"two directories: {before.upperdir} and {after.upperdir}")
    complete = before.complete and after.complete
    seconds = after.walked_at - before.walked_at
    counts: dict[What, int] = dict.fromkeys(("new", "grew", "rewritten", "shrank", "gone"), 0)
    largest: list[tuple[tuple[int, int, int], PathGrowth]] = []
    below: dict[str, list[int]] = {}
    written = 0
    for place, one in enumerate(
        _differences(before.changes, after.changes, both_only=not complete)
    ):
        counts[one.what] += 1
        written += one.written_bytes
        if one.written_bytes:
            _add(below, one)
        rank = (one.written_bytes, int(one.what == "rewritten") * one.size_bytes, -place)
        if len(largest) < top:
            heapq.heappush(largest, (rank, one))
        elif largest and rank > largest[0][0]:
            heapq.heapreplace(largest, (rank, one))
    grown = after.size_bytes - before.size_bytes
    return Growth(
        seconds=seconds,
        size_bytes=after.size_bytes,
        grown_bytes=grown,
        bytes_per_second=grown / seconds if complete and seconds > 0 else None,
        written_bytes=written,
        **counts,
        paths=tuple(one for _, one in sorted(largest, reverse=True)),
        directories=_directories(below, top),
        complete=complete,
    )


def _differences(
    before: Sequence[FileChange], after: Sequence[FileChange], *, both_only: bool
) -> Iterator[PathGrowth]:
    """Yield what differs, by path."""
    left, right = iter(before), iter(after)
    was, now = next(left, None), next(right, None)
    while was is not None or now is not None:
        if now is None or (was is not None and was.path < now.path):
            if was is not None and not both_only and was.kind != "deleted":
                yield _gone(was)
            was = next(left, None)
        elif was is None or now.path < was.path:
            if not both_only and now.kind != "deleted":
                yield _new(now)
            now = next(right, None)
        else:
            found = _changed(was, now)
            if found is not None:
                yield found
            was, now = next(left, None), next(right, None)


def _changed(was: FileChange, now: FileChange) -> PathGrowth | None:
    """Return how a path differs that both walks met; a whiteout counts as nothing there."""
    if now.kind == "deleted":
        return None if was.kind == "deleted" else _gone(was)
    if was.kind == "deleted":
        return _new(now)
    if was.is_directory or now.is_directory:
        # A directory's own size says nothing about what is in it.
        return None if was.is_directory == now.is_directory else _new(now)
    grown = now.size_bytes - was.size_bytes
    if grown == 0 and now.modified_at == was.modified_at:
        return None
    what: What = "grew" if grown > 0 else "shrank" if grown < 0 else "rewritten"
    return _path(now, what, grown=grown, written=max(0, grown))


def _new(now: FileChange) -> PathGrowth:
    # What a copy-up took from below was written too; a directory's own blocks are not told.
    size = 0 if now.is_directory or now.kind == "metacopy" else now.size_bytes
    return _path(now, "new", grown=size, written=size)


def _gone(was: FileChange) -> PathGrowth:
    size = 0 if was.is_directory else was.size_bytes
    return PathGrowth(
        path=was.path,
        what="gone",
        size_bytes=0,
        grown_bytes=-size,
        written_bytes=0,
        is_directory=was.is_directory,
    )


def _path(now: FileChange, what: What, *, grown: int, written: int) -> PathGrowth:
    return PathGrowth(
        path=now.path,
        what=what,
        size_bytes=0 if now.is_directory else now.size_bytes,
        grown_bytes=grown,
        written_bytes=written,
        is_directory=now.is_directory,
    )


def _add(below: dict[str, list[int]], one: PathGrowth) -> None:
    """Count a path in every directory above it: bytes and files."""
    above = one.path.rpartition("/")[0]
    while True:
        tally = below.get(above or "/")
        if tally is None:
            tally = below[above or "/"] = [0, 0]
        tally[0] += one.written_bytes
        tally[1] += 1
        if not above:
            return
        above = above.rpartition("/")[0]


def _directories(below: dict[str, list[int]], top: int) -> tuple[DirectoryGrowth, ...]:
    """Return the largest, without those that only lead to one other."""
    only_lead: set[str] = set()
    for path, (_, files) in below.items():
        above = path.rpartition("/")[0] or "/"
        if path != "/" and below[above][1] == files:
            only_lead.add(above)
    told = (
        DirectoryGrowth(path=path, written_bytes=written, files=files)
        for path, (written, files) in below.items()
        if path not in only_lead
    )
    return tuple(heapq.nsmallest(top, told, key=lambda one: (-one.written_bytes, one.path)))
