"""Lists one merged directory of an overlay: what each layer has under a name, and which one shows.

Nothing is read before it is asked for: one directory of each layer at a time (overlayfs.rst).
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Literal, Self

from msgspec import Struct

from collectors.errors import CollectError, Missing
from collectors.overlay.lower import LowerDirectory, Lowers, Opened, Place
from collectors.overlay.marks import DirectoryMarks, Marks
from collectors.overlay.records import Overlay
from collectors.overlay.scan import try_root
from collectors.overlay.times import born_at
from collectors.root import Root, translate

EntryKind = Literal["file", "directory", "symlink", "whiteout", "other"]
Why = Literal["replaced", "deleted", "opaque"]
"""A version above took its place; a whiteout above deletes it; a directory above is opaque."""
_UNMARKED = DirectoryMarks()
_LINKS = 40
"""As many symbolic links as the kernel follows in one path."""


class Hider(Struct, frozen=True):
    """What hides a version from the merged view."""

    layer: int
    path: str
    """Below that layer's root."""
    why: Why
    size_bytes: int | None = None
    """Of a regular file that replaces another one."""


class Seen(Struct, frozen=True):
    """One layer's entry of a merged directory."""

    name: str
    place: Place
    """Which layer (0 is the uppermost of the stack), and where below its root."""
    kind: EntryKind
    status: os.stat_result
    hider: Hider | None
    """None: it shows, merged with what is above it where it is a directory."""
    first: bool
    """No layer above has anything under the name."""
    marks: DirectoryMarks
    metacopy: bool = False
    """Only its metadata is here: the contents are read from a layer below."""
    covered: bool = False
    """Another filesystem is mounted on it, which the overlay does not see: the status is not its."""

    @property
    def shows(self) -> bool:
        """Whether it, and not another layer's, is what the container finds under the name."""
        return self.first and self.kind != "whiteout"


class Version(Struct, frozen=True, kw_only=True):
    """What one layer has at a path."""

    layer: int
    """0 is the uppermost of the stack: the upper layer where there is one."""
    path: str
    """Below the layer's own root: another than the container's where a directory was renamed."""
    kind: EntryKind
    size_bytes: int
    mode: int
    uid: int
    gid: int
    modified_at: float
    """Seconds since the epoch, as all times here."""
    born_at: float | None
    """When it came into this layer; of a file that was copied up, the moment of that."""
    shows: bool
    merged: bool
    """A directory whose contents show through together with those of the layers above."""
    hidden_by: int | None
    why: Why | None
    opaque: bool
    redirect: str | None
    metacopy: bool
    target: str | None
    """Of a symbolic link."""


class Entry(Struct, frozen=True):
    """A name in a merged directory and every layer's version of it, uppermost first."""

    name: str
    path: str
    """As the container has it, links followed."""
    versions: tuple[Version, ...]

    @property
    def visible(self) -> Version | None:
        """The version that the container finds; None where it is deleted."""
        top = self.versions[0] if self.versions else None
        return top if top is not None and top.shows else None


class Tree:
    """The layers of one overlay as one tree, the upper one first; close it."""

    def __init__(self, root: Root, overlay: Overlay) -> None:
        """Open the layers' roots; raise `CollectError` where none of them can be opened."""
        upper = () if overlay.upperdir is None else (overlay.upperdir,)
        self.paths: tuple[str, ...] = (*upper, *overlay.lowerdirs)
        self.has_upper = overlay.upperdir is not None
        self.marks = Marks(
            "user.overlay." if "userxattr" in overlay.options else "trusted.overlay."
        )
        self.metacopies = "metacopy=on" in overlay.options
        self.lowers = Lowers([try_root(root, path) for path in self.paths], self.marks)
        self.directories_read = 0
        if not self.lowers.top():
            self.lowers.close()
            raise Missing(next(iter(self.paths), "overlay"), "open", "no layer can be opened")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the layers."""
        self.lowers.close()

    def label(self, layer: int) -> str:
        """Return a layer's name as the screens have it: `upper`, `lower 0`."""
        index = layer - self.has_upper
        return "upper" if index < 0 else f"lower {index}"

    def entries(self, path: str) -> tuple[Entry, ...]:
        """Return a directory's names in order, deleted ones too; raise `CollectError`."""
        place, parts = self.resolve(path)
        prefix = "/" + "/".join(parts)
        found: dict[str, list[Seen]] = {}
        try:
            with self.lowers.at(place) as directory:
                for seen in self.read(directory):
                    found.setdefault(seen.name, []).append(seen)
                fds = {one.place.layer: one.fd for one in directory.opened}
                return tuple(
                    Entry(
                        name,
                        f"{prefix.rstrip('/')}/{name}",
                        tuple(_version(fds[one.place.layer], one) for one in found[name]),
                    )
                    for name in sorted(found)
                )
        except OSError as error:
            raise translate(error, path, "list") from error

    def which(self, path: str) -> Entry:
        """Return every layer's version of a path; raise `Missing` where no layer has it.

        Links on the way are followed as the container would, the last one is not.
        """
        parts = [part for part in path.split("/") if part not in {"", "."}]
        if not parts or parts[-1] == "..":
            raise Missing(path, "find", "name something below the root")
        above, resolved = self.resolve("/".join(parts[:-1]))
        whole = "/" + "/".join([*resolved, parts[-1]])
        versions: list[Version] = []
        try:
            with self.lowers.at(above) as directory:
                fds = {one.place.layer: one.fd for one in directory.opened}
                versions.extend(
                    _version(fds[seen.place.layer], seen)
                    for seen in self.read(directory, only=parts[-1])
                )
        except OSError as error:
            raise translate(error, path, "find") from error
        if not versions:
            raise Missing(whole, "find", "no layer has it")
        return Entry(parts[-1], whole, tuple(versions))

    def read(self, directory: LowerDirectory, only: str | None = None) -> Iterator[Seen]:
        """Yield the entries of each layer's directory, uppermost layer first."""
        self.directories_read += 1
        states: dict[str, Hider | Place] = {}
        for one in directory.opened:
            for name, status in _listed(one, only):
                yield self._see(one, name, status, states)

    def _see(
        self, one: Opened, name: str, status: os.stat_result, states: "dict[str, Hider | Place]"
    ) -> Seen:
        """Tell what an entry is, and note what it makes of the ones below it."""
        above = states.get(name)
        hider = above if isinstance(above, Hider) else None
        place = Place(one.place.layer, f"{one.place.path}/{name}".lstrip("/"))
        kind = self._kind(one, name, status)
        covered = status.st_dev != one.device
        marks = _UNMARKED
        if kind == "directory":
            if not covered:
                marks = self.marks.of_directory(one.fd, name)
            if hider is None:
                states[name] = _below_directory(place, marks, above)
        elif hider is None:
            if isinstance(above, Place) and kind != "whiteout":
                hider = Hider(above.layer, above.path, "replaced")
            states[name] = hider or _below_other(place, kind, status)
        metacopy = (
            self.metacopies and kind == "file" and self.marks.is_metacopy(one.fd, name, status)
        )
        return Seen(
            name, place, kind, status, hider, above is None, marks, metacopy, covered=covered
        )

    def _kind(self, one: Opened, name: str, status: os.stat_result) -> EntryKind:
        if stat.S_ISDIR(status.st_mode):
            return "directory"
        if self.marks.is_whiteout(one.fd, name, status, by_attribute=one.by_attribute):
            return "whiteout"
        if stat.S_ISREG(status.st_mode):
            return "file"
        return "symlink" if stat.S_ISLNK(status.st_mode) else "other"

    def resolve(self, path: str) -> tuple[tuple[Place, ...], list[str]]:
        """Return the directories merged at a path, and the path with its links followed.

        Raises `CollectError`.
        """
        waiting = [part for part in reversed(path.split("/")) if part not in {"", "."}]
        trail: list[tuple[str, tuple[Place, ...]]] = []
        places = self.lowers.top()
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                if trail:
                    places = trail.pop()[1]
                continue
            kind, target, below = self._step(places, part, path)
            if kind == "symlink":
                links += 1
                if links > _LINKS:
                    raise CollectError(path, "find", "too many symbolic links")
                if target.startswith("/"):
                    trail, places = [], self.lowers.top()
                waiting.extend(one for one in reversed(target.split("/")) if one not in {"", "."})
                continue
            trail.append((part, places))
            places = below
        return places, [name for name, _ in trail]

    def _step(
        self, places: Sequence[Place], part: str, path: str
    ) -> tuple[EntryKind, str, tuple[Place, ...]]:
        try:
            with self.lowers.at(places) as directory:
                seen = next(self.read(directory, only=part), None)
                if seen is None or not seen.shows:
                    raise Missing(path, "find", f"the container has no {part!r} on the way")
                if seen.kind == "symlink":
                    fd = next(
                        one.fd for one in directory.opened if one.place.layer == seen.place.layer
                    )
                    return "symlink", os.readlink(part, dir_fd=fd), ()
                if seen.kind != "directory":
                    raise Missing(path, "find", f"{part!r} is no directory")
                return "directory", "", directory.descend(part)
        except OSError as error:
            raise translate(error, path, "find") from error


def content_bytes(status: os.stat_result) -> int:
    """Return how many bytes of contents a regular file holds: its length, holes left out.

    A file that fits into its inode, or into a page of others, has no blocks of its own.
    """
    if not stat.S_ISREG(status.st_mode):
        return 0
    return min(status.st_size, max(status.st_blocks * 512, 4096))


def _below_directory(
    place: Place, marks: DirectoryMarks, above: Hider | Place | None
) -> Hider | Place:
    if marks.opaque:
        return Hider(place.layer, place.path, "opaque")
    if marks.redirect is not None:
        # What the layers below have under the name is not merged: it is found under another one.
        return Hider(place.layer, place.path, "replaced")
    return above or place


def _below_other(place: Place, kind: EntryKind, status: os.stat_result) -> Hider:
    if kind == "whiteout":
        return Hider(place.layer, place.path, "deleted")
    size = status.st_size if kind == "file" else None
    return Hider(place.layer, place.path, "replaced", size)


def _listed(one: Opened, only: str | None) -> Iterator[tuple[str, os.stat_result]]:
    if only is not None:
        try:
            status = os.stat(only, dir_fd=one.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield only, status
        return
    with os.scandir(one.fd) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield entry.name, status


def _version(fd: int, seen: Seen) -> Version:
    target = None
    if seen.kind == "symlink":
        try:
            target = os.readlink(seen.name, dir_fd=fd)
        except OSError:
            target = None  # it went away after it was listed
    status = seen.status
    return Version(
        layer=seen.place.layer,
        path=f"/{seen.place.path}",
        kind=seen.kind,
        size_bytes=status.st_size if seen.kind == "file" else 0,
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        modified_at=status.st_mtime,
        born_at=born_at(fd, seen.name),
        shows=seen.shows,
        merged=seen.kind == "directory" and seen.hider is None and not seen.first,
        hidden_by=seen.hider.layer if seen.hider else None,
        why=seen.hider.why if seen.hider else None,
        opaque=seen.marks.opaque,
        redirect=seen.marks.redirect,
        metacopy=seen.metacopy,
        target=target,
    )
