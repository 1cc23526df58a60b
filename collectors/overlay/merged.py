"""Reads the files of an overlay that is not mounted as its container would: its layers as one tree."""

import os
import stat
from collections.abc import Generator, Sequence

from msgspec import Struct

from collectors.errors import CollectError, Missing
from collectors.overlay.lower import LowerDirectory, Place
from collectors.overlay.tree import Seen, Tree
from collectors.root import translate
from collectors.syscalls import reopen_regular

_LINKS = 40
"""As many symbolic links as the kernel follows in one path."""


class Found(Struct, frozen=True):
    """Whatever the layers have at a path, as the container finds it."""

    fd: int
    """An O_PATH descriptor of the version that shows; whoever gave it closes it."""
    places: tuple[Place, ...] = ()
    """Of a directory: what is merged in it."""
    contents: Place | None = None
    """Where a file has its contents, if not where its metadata is."""


class MergedTree:
    """Looks paths up in layers. What a layer has and may not be read is an error, never left out."""

    def __init__(self, tree: Tree) -> None:
        """Look through a tree that is open as long as this is used; raise `Missing` if a layer is."""
        if tree.lowers.missing:
            raise Missing(tree.paths[0], "open", "one of its layers cannot be opened")
        self._tree = tree
        self._lowers = tree.lowers

    def look(self, path: str, *, follow: bool) -> Found:
        """Return what is at a path; links on the way are followed, the last one if asked to.

        Raises `CollectError`.
        """
        whole = path
        for _ in range(_LINKS):
            parts = [part for part in path.split("/") if part not in {"", "."}]
            name = None if not parts or parts[-1] == ".." else parts.pop()
            places, resolved = self._tree.resolve("/".join(parts if name else path.split("/")))
            try:
                found = self._entry(places, name, whole)
                target = _target(found) if follow or path.endswith("/") else None
            except OSError as error:
                raise translate(error, whole, "open") from error
            if target is None:
                return found
            os.close(found.fd)
            path = target if target.startswith("/") else "/".join((*resolved, target))
        raise CollectError(whole, "open", "too many symbolic links")

    def members(self, found: Found, path: str) -> Generator[tuple[str, Found]]:
        """Yield what is in a directory by name, each open until the next; raise `CollectError`."""
        try:
            with self._lowers.at(found.places) as directory:
                self._check(path)
                entries = self._showing(directory)
            for name, (seen, places, contents) in entries:
                try:
                    fd = self._lowers.see(seen.place)
                except FileNotFoundError:
                    continue
                try:
                    yield name, Found(fd, places, contents)
                finally:
                    os.close(fd)
        except OSError as error:
            raise translate(error, path, "read") from error

    def open(self, found: Found, path: str) -> int:
        """Open a regular file to read it; raise `CollectError`, or OSError."""
        if found.contents is None:
            return reopen_regular(found.fd, path)
        return self._lowers.open_file(found.contents)

    def _entry(self, places: Sequence[Place], name: str | None, path: str) -> Found:
        if name is None:
            return Found(self._lowers.see(places[0]), tuple(places))
        with self._lowers.at(places) as directory:
            self._check(path)
            shown = self._showing(directory, name)
        if not shown:
            raise Missing(path, "open", "no layer has it, or it is deleted")
        seen, below, contents = shown[0][1]
        return Found(self._lowers.see(seen.place), below, contents)

    def _showing(
        self, directory: LowerDirectory, only: str | None = None
    ) -> list[tuple[str, tuple[Seen, tuple[Place, ...], Place | None]]]:
        """Return what shows in a directory, in order of the names."""
        versions: dict[str, list[Seen]] = {}
        for seen in self._tree.read(directory, only):
            versions.setdefault(seen.name, []).append(seen)
        found: list[tuple[str, tuple[Seen, tuple[Place, ...], Place | None]]] = []
        for name in sorted(versions):
            top = versions[name][0]
            if top.shows:
                places = directory.descend(name) if top.kind == "directory" else ()
                found.append((name, (top, places, _contents(versions[name]))))
        return found

    def _check(self, path: str) -> None:
        if self._lowers.unread:
            raise CollectError(path, "read", "a layer's directory may not be read")


def _contents(versions: Sequence[Seen]) -> Place | None:
    """Return where the contents of a file are that has its metadata alone in the uppermost layer."""
    if not versions[0].metacopy:
        return None
    for one in versions[1:]:
        if one.kind == "file" and not one.metacopy:
            return one.place
    path = f"/{versions[0].place.path}"
    raise CollectError(path, "open", "its contents are in no layer under this name")


def _target(found: Found) -> str | None:
    if not stat.S_ISLNK(os.fstat(found.fd).st_mode):
        return None
    return os.readlink("", dir_fd=found.fd)
