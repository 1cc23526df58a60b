"""Weighs an overlay's layers: which bytes of them the container can see, and which nobody can.

A byte is counted where a regular file has it: holes are none. What is hidden is wasted: versions
that one above replaced, what a whiteout deletes, what an opaque directory covers. A file with several
names, in one layer or in several, is counted once, and is seen when any name of it is; what a
`metacopy` file takes its contents from is seen by it, as is a directory that was renamed.
"""

import heapq
import os
import stat
from collections.abc import Callable, Generator, Mapping
from typing import Self

from msgspec import Struct

from collectors.overlay.lower import LowerDirectory, Place
from collectors.overlay.records import Overlay
from collectors.overlay.same import Candidate, compare
from collectors.overlay.scan import Budget
from collectors.overlay.tree import Hider, Seen, Tree, Why, content_bytes
from collectors.root import Root

_KEPT = 200
"""Hidden paths that are told one by one: the largest."""
_ASKED_EVERY = 64
"""Entries between two looks at whether somebody wants it to stop."""

Key = tuple[int, int]
"""Device and inode."""


class LayerWeight(Struct, frozen=True, kw_only=True):
    """What one layer's directory holds, in bytes of contents."""

    layer: int
    visible_bytes: int
    hidden_bytes: int
    visible_files: int
    hidden_files: int


class Wasted(Struct, frozen=True, kw_only=True):
    """A path of a layer that cannot be seen: a file, or a directory with all that is in it."""

    path: str
    layer: int
    hidden_by: int
    why: Why
    size_bytes: int
    files: int
    is_directory: bool


class Weight(Struct, frozen=True, kw_only=True):
    """How an overlay's bytes are used; all are lower bounds until it is complete."""

    layers: tuple[LayerWeight, ...]
    by_reason: Mapping[str, int]
    """Hidden bytes by `replaced`, `deleted`, `opaque`."""
    same_bytes: int
    """Of the replaced ones: those that the replacement repeats, as a copy-up does that was for nothing."""
    wasted: tuple[Wasted, ...]
    """The largest first, at most 200."""
    entries: int
    """How many were looked at."""
    directories: int
    complete: bool
    """False when there is more to walk, or something could not be opened."""
    walked_ratio: float
    """How much of what is visible was walked, 0 to 1: each directory has an equal share of the one above."""

    @property
    def visible_bytes(self) -> int:
        """What the container can read."""
        return sum(layer.visible_bytes for layer in self.layers)

    @property
    def hidden_bytes(self) -> int:
        """What takes room for nothing."""
        return sum(layer.hidden_bytes for layer in self.layers)

    @property
    def efficiency(self) -> float | None:
        """Visible bytes over all bytes, 0 to 1; None where there are none."""
        whole = self.visible_bytes + self.hidden_bytes
        return self.visible_bytes / whole if whole else None


class _Tally(Struct):
    visible_bytes: int = 0
    hidden_bytes: int = 0
    visible_files: int = 0
    hidden_files: int = 0


class _Hidden(Struct):
    """A hidden path while its bytes are being added up."""

    place: Place
    hider: Hider
    size_bytes: int = 0
    files: int = 0


class Weighing:
    """One walk over all layers, which can be stopped and gone on with; close it.

    `advance` as often as you like, `reading` between: first what is visible is walked, then hidden
    directories, then contents of the same length are compared.
    """

    def __init__(self, root: Root, overlay: Overlay) -> None:
        """Open the layers; raise `CollectError` where none can be opened."""
        self._tree = Tree(root, overlay)
        self._tallies = [_Tally() for _ in self._tree.paths]
        self._by_reason: dict[str, int] = {"replaced": 0, "deleted": 0, "opaque": 0}
        self._wasted: list[tuple[int, int, Wasted]] = []
        self._directories: list[_Hidden] = []
        self._lent: set[Place] = set()
        self._seen: set[Key] = set()
        self._told: dict[Key, tuple[Place, Hider, int]] = {}
        self._alike: list[Candidate] = []
        self._same_bytes = 0
        self._entries = 0
        self._kept = 0
        self._walked_ratio = 0.0
        self._ended = False
        self._work = self._all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every directory."""
        self._work.close()
        self._tree.close()

    def advance(
        self,
        *,
        entries: int | None = None,
        seconds: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Go on for so many entries or seconds, or until `stop` says so; return whether all is done."""
        budget = Budget(entries, seconds)
        for taken, _ in enumerate(self._work, start=1):
            if not budget.take():
                return False
            if stop is not None and taken % _ASKED_EVERY == 0 and stop():
                return False
        self._ended = True
        return True

    def reading(self) -> Weight:
        """Return what is known so far."""
        return Weight(
            layers=tuple(
                LayerWeight(
                    layer=layer,
                    visible_bytes=one.visible_bytes,
                    hidden_bytes=one.hidden_bytes,
                    visible_files=one.visible_files,
                    hidden_files=one.hidden_files,
                )
                for layer, one in enumerate(self._tallies)
            ),
            by_reason=dict(self._by_reason),
            same_bytes=self._same_bytes,
            wasted=tuple(one for _, _, one in sorted(self._wasted, key=_largest)),
            entries=self._entries,
            directories=self._tree.directories_read,
            complete=self._ended and not self._tree.lowers.unread and not self._tree.lowers.missing,
            walked_ratio=1.0 if self._ended else min(1.0, self._walked_ratio),
        )

    def _all(self) -> Generator[None]:
        waiting = [(self._tree.lowers.top(), 1.0)]
        while waiting:
            places, share = waiting.pop()
            below: list[tuple[Place, ...]] = []
            with self._tree.lowers.at(places) as directory:
                for seen in self._tree.read(directory):
                    self._visit(seen, directory, below)
                    yield
            part = share / (len(below) + 1)
            self._walked_ratio += part
            waiting.extend((one, part) for one in below)
        for hidden in self._directories:
            yield from self._hidden_directory(hidden)
        for candidate in self._alike:
            if candidate.key not in self._seen:
                same = yield from compare(self._tree.lowers, candidate)
                self._same_bytes += candidate.size_bytes if same else 0

    def _visit(self, seen: Seen, directory: LowerDirectory, below: list[tuple[Place, ...]]) -> None:
        self._entries += 1
        if seen.hider is not None:
            self._hide(seen, seen.hider)
        elif seen.kind == "directory":
            if seen.first:
                below.append(self._merged(seen, directory))
        elif seen.metacopy:
            self._borrow(seen, directory)
        elif seen.kind == "file" and not seen.covered:
            self._show(seen.place.layer, seen.status)

    def _merged(self, seen: Seen, directory: LowerDirectory) -> tuple[Place, ...]:
        """Return what a visible directory merges; what a redirect lends it is not hidden elsewhere."""
        own = {
            Place(one.place.layer, f"{one.place.path}/{seen.name}".lstrip("/"))
            for one in directory.opened
        }
        places: list[Place] = []
        for place in directory.descend(seen.name):
            if place not in own:
                if place in self._lent:
                    continue  # hostile layers only: the kernel makes no two of one
                self._lent.add(place)
            places.append(place)
        return tuple(places)

    def _borrow(self, seen: Seen, directory: LowerDirectory) -> None:
        """Count what a metacopy file takes its contents from as visible (overlayfs.rst)."""
        one = next(one for one in directory.opened if one.place.layer == seen.place.layer)
        name = self._tree.marks.redirect_of(one.fd, seen.name) or seen.name
        above, _, last = name.rpartition("/")
        if not name.startswith("/"):
            self._show_contents(directory, name, seen.place.layer)
            return
        places = self._tree.lowers.resolve(above, above=seen.place.layer)
        with self._tree.lowers.at(places) as elsewhere:
            self._show_contents(elsewhere, last, seen.place.layer)

    def _show_contents(self, directory: LowerDirectory, name: str, above: int) -> None:
        for one in directory.opened:
            if one.place.layer <= above:
                continue
            try:
                status = os.stat(name, dir_fd=one.fd, follow_symlinks=False)
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                return
            if not self._tree.marks.is_metacopy(one.fd, name, status):
                self._show(one.place.layer, status)
                return

    def _show(self, layer: int, status: os.stat_result) -> None:
        if self._remembered(status):
            key = (status.st_dev, status.st_ino)
            if key in self._seen:
                return
            self._seen.add(key)
            told = self._told.pop(key, None)
            if told is not None:
                self._take_back(*told)
        tally = self._tallies[layer]
        tally.visible_bytes += content_bytes(status)
        tally.visible_files += 1

    def _remembered(self, status: os.stat_result) -> bool:
        """Whether a file may be met again under another name, or be lent to a metacopy."""
        return status.st_nlink > 1 or self._tree.metacopies

    def _hide(self, seen: Seen, hider: Hider) -> None:
        if seen.kind == "directory":
            self._directories.append(_Hidden(seen.place, hider))
            return
        size = self._hidden_bytes(seen, hider)
        if size is None:
            return
        self._keep(_Hidden(seen.place, hider, size, 1), is_directory=False)
        if hider.why == "replaced" and hider.size_bytes == seen.status.st_size > 0:
            key = (seen.status.st_dev, seen.status.st_ino)
            over = Place(hider.layer, hider.path)
            self._alike.append(Candidate(over, seen.place, key, size))

    def _hidden_bytes(self, seen: Seen, hider: Hider) -> int | None:
        """Add one hidden file; return its bytes, None where it is none or was counted already."""
        if seen.kind != "file" or seen.covered:
            return None
        size = 0 if seen.metacopy else content_bytes(seen.status)
        if self._remembered(seen.status):
            key = (seen.status.st_dev, seen.status.st_ino)
            if key in self._seen or key in self._told:
                return None
            self._told[key] = (seen.place, hider, size)
        tally = self._tallies[seen.place.layer]
        tally.hidden_bytes += size
        tally.hidden_files += 1
        self._by_reason[hider.why] += size
        return size

    def _take_back(self, place: Place, hider: Hider, size: int) -> None:
        """Undo the counting of a hidden file: another name of it can be seen."""
        tally = self._tallies[place.layer]
        tally.hidden_bytes -= size
        tally.hidden_files -= 1
        self._by_reason[hider.why] -= size
        path = f"/{place.path}"
        self._wasted = [
            one for one in self._wasted if (one[2].layer, one[2].path) != (place.layer, path)
        ]
        heapq.heapify(self._wasted)

    def _hidden_directory(self, hidden: _Hidden) -> Generator[None]:
        waiting = [hidden.place]
        while waiting:
            place = waiting.pop()
            if place in self._lent:
                continue
            with self._tree.lowers.at((place,)) as directory:
                for seen in self._tree.read(directory):
                    self._add(hidden, seen, waiting)
                    yield
        self._keep(hidden, is_directory=True)

    def _add(self, hidden: _Hidden, seen: Seen, waiting: list[Place]) -> None:
        self._entries += 1
        if seen.kind == "directory":
            waiting.append(seen.place)
        size = self._hidden_bytes(seen, hidden.hider)
        if size is not None:
            hidden.size_bytes += size
            hidden.files += 1

    def _keep(self, hidden: _Hidden, *, is_directory: bool) -> None:
        if not hidden.size_bytes:
            return
        told = Wasted(
            path=f"/{hidden.place.path}",
            layer=hidden.place.layer,
            hidden_by=hidden.hider.layer,
            why=hidden.hider.why,
            size_bytes=hidden.size_bytes,
            files=hidden.files,
            is_directory=is_directory,
        )
        self._kept += 1
        item = (told.size_bytes, self._kept, told)
        if len(self._wasted) < _KEPT:
            heapq.heappush(self._wasted, item)
        else:
            heapq.heappushpop(self._wasted, item)


def _largest(item: tuple[int, int, Wasted]) -> tuple[int, str, int]:
    return (-item[0], item[2].path, item[2].layer)
