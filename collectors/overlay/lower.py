"""Looks names up in the lower layers of an overlay as the kernel does: the uppermost one counts."""

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from collectors.overlay.marks import DirectoryMarks, Marks
from collectors.syscalls import open_beneath, reopen_regular


class Place(Struct, frozen=True):
    """A directory in one lower layer."""

    layer: int
    """0 is the uppermost."""
    path: str
    """Below the layer's root, without a leading slash."""


class Hit(Struct, frozen=True):
    """What a lower layer has under a name."""

    layer: int
    status: os.stat_result
    covered: bool
    """Another filesystem is mounted on it, which the overlay does not see: the status is not its."""


class Opened(Struct, frozen=True):
    """One of the directories that are merged at a path, open while its `LowerDirectory` is."""

    place: Place
    fd: int
    device: int
    by_attribute: bool
    """Some of its files may be whiteouts by attribute."""


class Lowers:
    """The lower layers of one overlay, held open by their roots until `close`."""

    def __init__(self, roots: Sequence[int | None], marks: Marks) -> None:
        """Take the descriptors of the layers' roots; None is a layer that could not be opened."""
        self._roots = roots
        self._marks = marks
        self.unread = 0
        """Directories that this user may not open."""

    def top(self) -> tuple[Place, ...]:
        """Return the roots of the layers: what the overlay's root merges."""
        return self._top(0)

    @property
    def missing(self) -> bool:
        """Whether a layer could not be opened, so that what it has is not known."""
        return any(fd is None for fd in self._roots)

    def close(self) -> None:
        """Close the layers' roots."""
        for fd in self._roots:
            if fd is not None:
                os.close(fd)

    @contextmanager
    def at(self, places: Sequence[Place]) -> Generator["LowerDirectory"]:
        """Open the directories that are merged at one path; those that went away are left out."""
        with ExitStack() as stack:
            opened: list[Opened] = []
            for place in places:
                fd = self._open(place)
                if fd is not None:
                    stack.callback(os.close, fd)
                    marks = self._marks.of_directory(fd, ".")
                    opened.append(Opened(place, fd, os.fstat(fd).st_dev, marks.holds_whiteouts))
            yield LowerDirectory(self, opened, self._marks)

    def open_file(self, place: Place) -> int:
        """Open a regular file of a layer to read it; raise OSError, of another kind of file EINVAL.

        No link on the way is followed, and nothing that is not a regular file is opened.
        """
        seen = self.see(place)
        try:
            return reopen_regular(seen, place.path)
        finally:
            os.close(seen)

    def see(self, place: Place) -> int:
        """Return an O_PATH descriptor of whatever a layer has there, a link itself; raise OSError."""
        above, _, name = place.path.rpartition("/")
        fd = self._open(Place(place.layer, above))
        if fd is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place.path)
        try:
            return os.open(name or ".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        finally:
            os.close(fd)

    def resolve(self, path: str, *, above: int = -1) -> tuple[Place, ...]:
        """Return what is merged at an absolute path in the layers below one of them."""
        places = self._top(above + 1)
        for part in path.split("/"):
            if part:
                with self.at(places) as directory:
                    places = directory.descend(part)
        return places

    def _top(self, first: int) -> tuple[Place, ...]:
        return tuple(
            Place(layer, "")
            for layer, fd in enumerate(self._roots)
            if fd is not None and layer >= first
        )

    def _open(self, place: Place) -> int | None:
        root = self._roots[place.layer]
        if root is None:
            return None
        try:
            return open_beneath(root, place.path)
        except PermissionError:
            self.unread += 1
            return None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EXDEV}:
                return None
            raise


class LowerDirectory:
    """The lower directories that are merged at one path, uppermost first, open."""

    def __init__(self, lowers: Lowers, opened: Sequence[Opened], marks: Marks) -> None:
        """Take the open directories."""
        self._lowers = lowers
        self._opened = opened
        self._marks = marks

    @property
    def opened(self) -> Sequence[Opened]:
        """The merged directories, uppermost first; valid while this one is open."""
        return self._opened

    def find(self, name: str) -> Hit | None:
        """Return what the merged lower layers have under a name; None: nothing, or a whiteout."""
        for one in self._opened:
            status = _lstat(one.fd, name)
            if status is None:
                continue
            if self._marks.is_whiteout(one.fd, name, status, by_attribute=one.by_attribute):
                return None
            return Hit(one.place.layer, status, status.st_dev != one.device)
        return None

    def descend(self, name: str) -> tuple[Place, ...]:
        """Return the lower directories that are merged under a name in this one."""
        places: list[Place] = []
        for one in self._opened:
            status = _lstat(one.fd, name)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break
            path = f"{one.place.path}/{name}".lstrip("/")
            places.append(Place(one.place.layer, path))
            marks = self._marks.of_directory(one.fd, name)
            if marks.opaque:
                break
            if marks.redirect is not None:
                if marks.redirect.startswith("/"):
                    below = self._lowers.resolve(marks.redirect, above=one.place.layer)
                    return (*places, *below)
                name = marks.redirect
        return tuple(places)

    def below(self, name: str, marks: DirectoryMarks) -> tuple[Place, ...]:
        """Return what is merged under an upper directory with these marks."""
        if marks.opaque:
            return ()
        if marks.redirect is None:
            return self.descend(name)
        if marks.redirect.startswith("/"):
            return self._lowers.resolve(marks.redirect)
        return self.descend(marks.redirect)


def _lstat(dir_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
