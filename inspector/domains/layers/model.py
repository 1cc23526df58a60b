"""A container's root filesystem, as the dump shows it."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

ChangeKind = Literal[
    "added", "modified", "copied_up", "deleted", "opaque", "redirected", "metacopy"
]


class Layer(Struct, frozen=True, kw_only=True):
    """One directory of the stack; index 0 is the uppermost lower layer."""

    role: Literal["lower", "upper", "work", "merged"]
    index: int | None
    """Lower layers only."""
    path: str
    digest: str | None
    size_bytes: int | None
    """Null where it was not counted."""
    shared_by: tuple[str, ...] = ()
    """Ids of other containers over the same directory."""


class Change(Struct, frozen=True, kw_only=True):
    """One path that the upper layer holds or hides."""

    path: str
    kind: ChangeKind
    size_bytes: int
    is_directory: bool
    layer: int | None
    modified_at: datetime | None


class Changes(Struct, frozen=True, kw_only=True):
    """What the upper layer changed, counted; `complete` false: at least so many."""

    added: int
    modified: int
    copied_up: int
    deleted: int
    opaque: int
    complete: bool
    size_bytes: int
    growth_bytes_per_second: float | None
    files: tuple[Change, ...]
    """The newest first, at most 200."""


class Rootfs(Struct, frozen=True, kw_only=True):
    """The mount that a container has as its root."""

    driver: str
    """Its filesystem type: `overlay`, `ext4`, `btrfs`…"""
    path: str | None
    """Where the host sees it, if it does."""
    read_only: bool
    layers: tuple[Layer, ...]
    changes: Changes | None
    source: str | None = None
    """What is mounted: a device, a dataset, a name that the mounter chose; null for a stopped one."""
    dataset: str | None = None
    """The btrfs subvolume or the ZFS dataset."""
    about: str = ""
    """What it is made of, in a sentence."""
    data_layers: tuple[str, ...] = ()
    """Data-only layers: contents for the names that the layers have (overlayfs.rst)."""
