"""What is said of an overlay: where its layers are, and what its upper one holds."""

from typing import Literal

from msgspec import Struct

ChangeKind = Literal[
    "added", "modified", "copied_up", "deleted", "opaque", "redirected", "metacopy"
]


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
    """Those of its superblock that name no directory: `metacopy=on`, `userxattr`, `volatile`."""
    datadirs: tuple[str, ...] = ()
    """Data-only lower layers: they hold contents for `metacopy`, and no names of their own."""


class FileChange(Struct, frozen=True):
    """One path that the upper layer holds or hides.

    `modified` replaces a lower file with other contents; `copied_up` is there in full though only
    its metadata (or nothing) differs; `opaque` is a directory that hides what is below it. A
    directory that a lower layer has too is `modified` where its owner, mode or time differ.
    """

    path: str
    kind: ChangeKind
    size_bytes: int
    is_directory: bool
    layer: int | None
    """Which lower layer (0 uppermost) has the path that is changed or hidden."""
    modified_at: float | None
    """Seconds since the epoch; None for what is deleted: a whiteout's own time says nothing."""


class UpperReading(Struct, frozen=True, kw_only=True):
    """What an upper directory holds."""

    upperdir: str
    size_bytes: int
    """Disk blocks in use, each inode once."""
    inodes: int
    changes: tuple[FileChange, ...]
    """By path."""
    complete: bool
    """False when the walk was stopped by its budget, so that the numbers are lower bounds, or when
    a directory or a lower layer could not be opened."""
    walked_at: float = 0.0
    """Monotonic seconds: two readings with the same one are of one walk."""
    size_before_bytes: int | None = None
    """What the walk before this one found, where that one was complete."""
    walked_before_at: float | None = None


class LayerSize(Struct, frozen=True, kw_only=True):
    """How much one layer's directory takes."""

    path: str
    size_bytes: int
    """Disk blocks in use, each inode once."""
    inodes: int
    complete: bool
    """False when the walk was stopped by its budget: the numbers are then lower bounds."""
