"""What `cinspect layers` prints, and the layers screen shows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from inspector.layers.growth import Growth

EntryKind = Literal["file", "directory", "symlink", "whiteout", "other"]
Why = Literal["replaced", "deleted", "opaque"]


class StackLayer(Struct, frozen=True, kw_only=True):
    """One layer; the weighed numbers are null where that was not asked for."""

    name: str
    """`upper`, or `lower N`: 0 is the uppermost."""
    path: str
    digest: str | None = None
    visible_bytes: int | None = None
    hidden_bytes: int | None = None
    visible_files: int | None = None
    hidden_files: int | None = None


class PathVersion(Struct, frozen=True, kw_only=True):
    """What one layer has at a path."""

    layer: str
    path: str
    """Below the layer's own root."""
    kind: EntryKind
    size_bytes: int
    mode: str
    """As ls(1) writes it."""
    uid: int
    gid: int
    modified_at: datetime
    in_layer_since: datetime | None
    """When it came into this layer: of a copied-up file, the moment of the copy-up."""
    supplies: bool
    """It is what the container finds."""
    merged: bool
    hidden_by: str | None
    why: Why | None
    opaque: bool
    redirect: str | None
    metacopy: bool
    target: str | None


class PathReport(Struct, frozen=True, kw_only=True):
    """Every layer's version of a path, uppermost first."""

    path: str
    """With links on the way followed."""
    supplied_by: str | None
    """Null: it is deleted."""
    copied_up_at: datetime | None
    """When the upper layer got it from a lower one; null: it did not."""
    versions: tuple[PathVersion, ...]


class WastedPath(Struct, frozen=True, kw_only=True):
    """A path of a layer that cannot be seen; a directory with all that is in it."""

    path: str
    layer: str
    hidden_by: str
    why: Why
    size_bytes: int
    files: int
    is_directory: bool


class Waste(Struct, frozen=True, kw_only=True):
    """How the bytes of all layers are used; `complete` false: at least so many."""

    visible_bytes: int
    hidden_bytes: int
    efficiency: float | None
    """Visible over all bytes, 0 to 1; null where there are none."""
    by_reason: Mapping[str, int]
    same_bytes: int
    """Of the replaced ones: copies that have the same contents as what they replaced."""
    paths: tuple[WastedPath, ...]
    entries: int
    complete: bool
    walked_ratio: float
    """How much of what is visible was walked, 0 to 1: an estimate, from the directories that are known."""


class Holder(Struct, frozen=True):
    """Who keeps a deleted file open."""

    pid: int
    fd: int


class DeletedFile(Struct, frozen=True, kw_only=True):
    """A file that was deleted and is still open."""

    path: str
    kind: Literal["file", "memory"]
    size_bytes: int
    disk_bytes: int
    holders: tuple[Holder, ...]


class LayersReport(Struct, frozen=True, kw_only=True):
    """All that was asked of one container's layers."""

    container: str
    name: str
    driver: str
    layers: tuple[StackLayer, ...]
    options: tuple[str, ...]
    path: PathReport | None = None
    waste: Waste | None = None
    listing: tuple[PathReport, ...] | None = None
    deleted: tuple[DeletedFile, ...] | None = None
    growth: Growth | None = None
    writers: Mapping[str, tuple[Holder, ...]] | None = None
    """Of what grew: the processes that have it open for writing, by path."""
