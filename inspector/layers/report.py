"""Asks an overlay's layers and tells the answers with names: which layer, what is wasted, what is open."""

import stat
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from collectors.errors import CollectError
from collectors.overlay import deleted
from collectors.overlay.records import Overlay
from collectors.overlay.scan import scan
from collectors.overlay.tree import Entry, Tree, Version
from collectors.overlay.weigh import Weighing, Weight
from collectors.overlay.writers import writers
from collectors.root import Root
from inspector.domains.layers.model import Rootfs
from inspector.errors import Failure
from inspector.layers.growth import Growth, growth
from inspector.layers.model import (
    DeletedFile,
    Holder,
    PathReport,
    PathVersion,
    StackLayer,
    Waste,
    WastedPath,
)

_ENTRIES = 1_000_000
_TURN = 0.2
"""Seconds of weighing between two looks at how far it is."""


def label(overlay: Overlay, layer: int) -> str:
    """Return a layer's name by its place in the stack: `upper`, `lower 0`."""
    index = layer - (overlay.upperdir is not None)
    return "upper" if index < 0 else f"lower {index}"


def which(root: Root, overlay: Overlay, path: str) -> PathReport:
    """Return every layer's version of a path; raise `Failure` where none has it."""
    try:
        with Tree(root, overlay) as tree:
            return _path(overlay, tree.which(path))
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error


def listing(root: Root, overlay: Overlay, path: str) -> tuple[PathReport, ...]:
    """Return a directory's entries of all layers; raise `Failure`."""
    try:
        with Tree(root, overlay) as tree:
            return tuple(_path(overlay, entry) for entry in tree.entries(path))
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error


def weigh(
    root: Root,
    overlay: Overlay,
    *,
    seconds: float | None,
    progress: Callable[[Waste], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Waste, Weight]:
    """Walk all layers for so many seconds at most; tell of each turn how far it is."""
    until = None if seconds is None else time.monotonic() + seconds

    def ended() -> bool:
        return (stop is not None and stop()) or (until is not None and time.monotonic() >= until)

    def tell(told: Waste) -> None:
        if progress is not None:
            progress(told)

    try:
        with Weighing(root, overlay) as weighing:
            reading = _weigh(weighing, lambda one: tell(waste(overlay, one)), ended)
    except CollectError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{overlay.upperdir or overlay.lowerdirs[0]}: {error.strerror}") from error
    return waste(overlay, reading), reading


def _weigh(weighing: Weighing, tell: Callable[[Weight], None], ended: Callable[[], bool]) -> Weight:
    while not weighing.advance(seconds=_TURN, stop=ended) and not ended():
        tell(weighing.reading())
    return weighing.reading()


def stack(overlay: Overlay, rootfs: Rootfs | None, weight: Weight | None) -> tuple[StackLayer, ...]:
    """Return the layers from the top, with what each weighs where that was asked for."""
    digests = {layer.path: layer.digest for layer in rootfs.layers} if rootfs else {}
    upper = () if overlay.upperdir is None else (overlay.upperdir,)
    found: list[StackLayer] = []
    for place, path in enumerate((*upper, *overlay.lowerdirs)):
        one = weight.layers[place] if weight else None
        found.append(
            StackLayer(
                name=label(overlay, place),
                path=path,
                digest=digests.get(path),
                visible_bytes=one.visible_bytes if one else None,
                hidden_bytes=one.hidden_bytes if one else None,
                visible_files=one.visible_files if one else None,
                hidden_files=one.hidden_files if one else None,
            )
        )
    return tuple(found)


def waste(overlay: Overlay, weight: Weight) -> Waste:
    """Return a weighing's numbers with the layers' names."""
    return Waste(
        visible_bytes=weight.visible_bytes,
        hidden_bytes=weight.hidden_bytes,
        efficiency=weight.efficiency,
        by_reason=weight.by_reason,
        same_bytes=weight.same_bytes,
        paths=tuple(
            WastedPath(
                path=one.path,
                layer=label(overlay, one.layer),
                hidden_by=label(overlay, one.hidden_by),
                why=one.why,
                size_bytes=one.size_bytes,
                files=one.files,
                is_directory=one.is_directory,
            )
            for one in weight.wasted
        ),
        entries=weight.entries,
        complete=weight.complete,
        walked_ratio=weight.walked_ratio,
    )


def watch(root: Root, overlay: Overlay, seconds: float, *, limit: int = _ENTRIES) -> Growth:
    """Walk the upper layer twice, so many seconds apart, and compare; raise `Failure`.

    Of a larger tree than `limit` entries only that many are looked at, and the answer says so.
    """
    if overlay.upperdir is None:
        raise Failure("there is no upper layer: it is mounted read-only, and does not grow")
    try:
        before = scan(root, overlay, limit=limit)
        time.sleep(max(0.0, before.walked_at + seconds - time.monotonic()))
        return growth(before, scan(root, overlay, limit=limit))
    except CollectError as error:
        raise Failure(f"{error.path}: {error.message}") from error


def written_by(root: Root, pids: Sequence[int], found: Growth) -> Mapping[str, tuple[Holder, ...]]:
    """Return which of a container's processes have what was written open for writing, by path."""
    paths = {one.path for one in found.paths if one.written_bytes or one.what == "rewritten"}
    held = writers(root, pids, paths)
    return {path: tuple(Holder(one.pid, one.fd) for one in who) for path, who in held.items()}


def open_deleted(root: Root, pids: Sequence[int]) -> tuple[DeletedFile, ...]:
    """Return the deleted files that a container's processes have open, the largest first."""
    return tuple(
        DeletedFile(
            path=one.path,
            kind=one.kind,
            size_bytes=one.size_bytes,
            disk_bytes=one.disk_bytes,
            holders=tuple(Holder(each.pid, each.fd) for each in one.holders),
        )
        for one in deleted.deleted(root, pids).files
    )


def _path(overlay: Overlay, entry: Entry) -> PathReport:
    visible = entry.visible
    return PathReport(
        path=entry.path,
        supplied_by=label(overlay, visible.layer) if visible else None,
        copied_up_at=_copied_up(overlay, entry),
        versions=tuple(_version(overlay, one) for one in entry.versions),
    )


def _copied_up(overlay: Overlay, entry: Entry) -> datetime | None:
    """Return when the upper layer got a file that a lower one had: when its inode was made there."""
    if overlay.upperdir is None or len(entry.versions) < 2 or entry.versions[0].layer != 0:
        return None
    top, below = entry.versions[:2]
    same = top.kind == below.kind and below.why == "replaced"
    born = top.born_at
    return datetime.fromtimestamp(born, UTC) if same and born is not None else None


def _version(overlay: Overlay, version: Version) -> PathVersion:
    born = version.born_at
    return PathVersion(
        layer=label(overlay, version.layer),
        path=version.path,
        kind=version.kind,
        size_bytes=version.size_bytes,
        mode=stat.filemode(version.mode),
        uid=version.uid,
        gid=version.gid,
        modified_at=datetime.fromtimestamp(version.modified_at, UTC),
        in_layer_since=None if born is None else datetime.fromtimestamp(born, UTC),
        supplies=version.shows,
        merged=version.merged,
        hidden_by=None if version.hidden_by is None else label(overlay, version.hidden_by),
        why=version.why,
        opaque=version.opaque,
        redirect=version.redirect,
        metacopy=version.metacopy,
        target=version.target,
    )
