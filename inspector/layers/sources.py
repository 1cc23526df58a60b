"""Where copies come from: a root that is mounted, or the layers of a container that does not run."""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Protocol

from collectors.errors import CollectError
from collectors.inside import Inside
from collectors.overlay.merged import Found, MergedTree
from collectors.overlay.tree import Tree
from collectors.root import Root
from collectors.syscalls import reopen_regular
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from inspector.layers import places


class Source(Protocol):
    """A tree of files that copies are made of."""

    def look(self, path: str, *, follow: bool) -> Found:
        """Return whatever is at a path, links followed on the way; the caller closes its descriptor.

        Raises `CollectError`.
        """
        ...

    def members(self, found: Found, path: str, skipped: list[str]) -> Iterator[tuple[str, Found]]:
        """Yield what is in a directory, by name, each open until the next.

        What is of another filesystem is skipped: there may be no end to it, as of /proc. What goes away
        meanwhile is left out. Raises `CollectError` or OSError.
        """
        ...

    def open(self, found: Found, path: str) -> int:
        """Open a regular file to read it; raise `CollectError` or OSError."""
        ...


class Mounted:
    """Files as the kernel shows them below a directory."""

    def __init__(self, inside: Inside) -> None:
        """Look into a root that is open as long as this is used."""
        self._inside = inside

    def look(self, path: str, *, follow: bool) -> Found:
        """Return what is at a path."""
        return Found(self._inside.look(path, follow=follow))

    def members(self, found: Found, path: str, skipped: list[str]) -> Generator[tuple[str, Found]]:
        """Yield what is in a directory."""
        listed = os.open(f"/proc/self/fd/{found.fd}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            names = sorted(os.listdir(listed))
            device = os.fstat(listed).st_dev
        finally:
            os.close(listed)
        for name in names:
            try:
                fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found.fd)
            except FileNotFoundError:
                continue
            try:
                if os.fstat(fd).st_dev != device:
                    skipped.append(below(path, name))
                else:
                    yield name, Found(fd)
            finally:
                os.close(fd)

    def open(self, found: Found, path: str) -> int:
        """Open a regular file."""
        return reopen_regular(found.fd, path)


class Layered:
    """Files of an overlay that nobody has mounted, read through its layers."""

    def __init__(self, tree: Tree) -> None:
        """Look through layers that are open as long as this is used; raise `CollectError`."""
        self._merged = MergedTree(tree)

    def look(self, path: str, *, follow: bool) -> Found:
        """Return what is at a path."""
        return self._merged.look(path, follow=follow)

    def members(self, found: Found, path: str, skipped: list[str]) -> Generator[tuple[str, Found]]:
        """Yield what is in a directory."""
        del skipped  # nothing else is mounted in a container that does not run
        return self._merged.members(found, path)

    def open(self, found: Found, path: str) -> int:
        """Open a regular file."""
        return self._merged.open(found, path)


@contextmanager
def of_container(root: Root, container: Container, layer: str | None) -> Generator[Source]:
    """Give a container's files: as they are, or as one layer has them; raise `Failure`.

    One that does not run is looked up in its layers, without its volumes.
    """
    if layer is None and container.pid is not None:
        with places.inside(root, container) as inside:
            yield Mounted(inside)
        return
    overlay = places.overlay_of(root, container)
    if overlay is None:
        raise Failure(f"{container.name}: its root is no overlay: it has no layers of its own")
    if layer is not None:
        try:
            alone = Inside.of_directory(root, places.layer_directory(overlay, layer))
        except CollectError as error:
            raise Failure(f"{container.name}: {error}") from error
        with alone:
            yield Mounted(alone)
        return
    try:
        tree = Tree(root, overlay)
    except CollectError as error:
        raise Failure(f"{container.name}: {error}") from error
    with tree:
        try:
            layered = Layered(tree)
        except CollectError as error:
            raise Failure(f"{container.name}: {error}") from error
        yield layered


def below(path: str, name: str) -> str:
    """Return the path of what is in a directory."""
    return f"{path.rstrip('/').removesuffix('/.')}/{name}"


def is_directory(found: Found) -> bool:
    """Return whether it is a directory."""
    return stat.S_ISDIR(os.fstat(found.fd).st_mode)
