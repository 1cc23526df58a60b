"""What a writable layer changed over the layers below it, as `docker diff` tells it."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from runtime.snapshots import trees
from runtime.snapshots.overlay import Layers
from runtime.types import Change

_OPAQUE: Final = ("trusted.overlay.opaque", "user.overlay.opaque")
_WHITEOUT: Final = ("trusted.overlay.whiteout", "user.overlay.whiteout")


def of(layers: Layers) -> tuple[Change, ...]:
    """Return the changes by path; a directory is "C" when something within it changed."""
    return tuple(sorted(_walk(layers), key=lambda change: change.path))


def _walk(layers: Layers) -> Iterator[Change]:
    """Walk the upper layer: what is not in it did not change."""
    opaque: set[str] = set()  # these directories, and all in them, show nothing of a lower layer
    for root, directories, files, descriptor in os.fwalk(layers.upperdir, follow_symlinks=False):
        relative = os.path.relpath(root, layers.upperdir)
        here = "" if relative == "." else relative
        if here and (os.path.dirname(here) in opaque or _is_opaque(root)):
            opaque.add(here)
            yield from _hidden(here, root, layers.lowerdirs)
        for name in (*directories, *files):
            path = os.path.join(here, name)
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            change = _change(path, found, layers.lowerdirs, upper=os.path.join(root, name))
            if change is not None:
                yield change


def _change(
    path: str, found: os.stat_result, lowerdirs: Sequence[str], *, upper: str
) -> Change | None:
    lower = _lower(path, lowerdirs)
    if trees.is_whiteout(found) or (
        stat.S_ISREG(found.st_mode) and not found.st_size and _has(upper, _WHITEOUT)
    ):
        return None if lower is None else Change("/" + path, "D")
    if lower is None:
        return Change("/" + path, "A")
    return Change("/" + path, "C")


def _lower(path: str, lowerdirs: Sequence[str]) -> os.stat_result | None:
    """Return what the lower layers show at a path, topmost first; None if nothing, or hidden."""
    for directory in lowerdirs:
        found = _stat_within(directory, path)
        if found is None:
            if _hides(directory, path):
                return None
            continue
        return None if trees.is_whiteout(found) else found
    return None


def _stat_within(directory: str, path: str) -> os.stat_result | None:
    """Look a path up without following links: overlayfs takes each component as it is."""
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        *parents, last = path.split("/")
        for name in parents:
            deeper = os.open(
                name,
                os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                dir_fd=descriptor,
            )
            os.close(descriptor)
            descriptor = deeper
        return os.stat(last, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _hides(directory: str, path: str) -> bool:
    """Tell whether a lower layer hides those below it at a path: a parent is opaque or no directory."""
    parts = path.split("/")
    for length in range(1, len(parts)):
        parent = os.path.join(directory, *parts[:length])
        found = _stat_within(directory, "/".join(parts[:length]))
        if found is None:
            return False
        if not stat.S_ISDIR(found.st_mode) or _is_opaque(parent):
            return True
    return False


def _hidden(parent: str, upper: str, lowerdirs: Sequence[str]) -> Iterator[Change]:
    """Yield what an opaque directory hides: entries of the lower ones that it does not have."""
    names: set[str] = set()
    for directory in lowerdirs:
        try:
            names.update(os.listdir(os.path.join(directory, parent)))
        except OSError:
            continue
    for name in sorted(names):
        if not os.path.lexists(os.path.join(upper, name)):
            path = os.path.join(parent, name)
            if _lower(path, lowerdirs) is not None:
                yield Change("/" + path, "D")


def _is_opaque(path: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _has(path: str, names: Sequence[str]) -> bool:
    try:
        return not set(names).isdisjoint(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return False
