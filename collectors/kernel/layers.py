"""Reads overlay filesystems: their layers from mount options, what the upper layer changed from disk."""

from typing import Literal

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root


class Overlay(Struct, frozen=True, kw_only=True):
    """One mounted overlay filesystem (overlayfs.rst), found at the root of a mount namespace."""

    namespace: int
    """Inode of the mount namespace where it is the root mount."""
    device: str
    """`major:minor` of its superblock."""
    lowerdirs: tuple[str, ...]
    """Uppermost first, unescaped, made absolute where they can be found."""
    upperdir: str | None
    workdir: str | None
    merged: str | None
    """Where the host sees it mounted, if it does."""
    options: tuple[str, ...]


class FileChange(Struct, frozen=True):
    """One path that the upper layer holds or hides.

    `modified` replaces a lower file with other contents; `copied_up` is there in full though only
    its metadata (or nothing) differs; `opaque` is a directory that hides what is below it.
    """

    path: str
    kind: Literal["added", "modified", "copied_up", "deleted", "opaque", "redirected", "metacopy"]
    size_bytes: int
    is_directory: bool
    layer: int | None
    """Which lower layer (0 uppermost) has the path that is changed or hidden."""
    modified_at: float | None
    """Seconds since the epoch."""


class UpperReading(Struct, frozen=True, kw_only=True):
    """What an upper directory holds."""

    upperdir: str
    size_bytes: int
    """Disk blocks in use, each inode once."""
    inodes: int
    changes: tuple[FileChange, ...]
    complete: bool
    """False when the walk was stopped by its budget: the numbers are then lower bounds."""


class LayersReading(Struct, frozen=True):
    """Every overlay that is the root of a mount namespace, and the upper layers' contents."""

    overlays: tuple[Overlay, ...]
    uppers: tuple[UpperReading, ...]
    """By upperdir; one that could not be walked is in `problems`."""
    problems: tuple[Problem, ...] = ()


KEY = Key("layers", LayersReading)


def read(root: Root) -> LayersReading:
    """Find the overlays and walk their upper directories, within a budget."""
    raise NotImplementedError(root)
