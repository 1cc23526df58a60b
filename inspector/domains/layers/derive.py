"""A container's root filesystem: its mount, the layers below it, what the upper one changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from collectors.engine import EngineContainer
from collectors.kernel import layers, mounts
from collectors.kernel.layers import FileChange, Overlay, UpperReading
from collectors.kernel.mounts import MountInfo
from inspector.discovery.world import MNT, Inodes
from inspector.domains.layers import drivers
from inspector.domains.layers.model import Change, Changes, Layer, Rootfs
from inspector.memos import Memos
from inspector.sample import Sample, elapsed

_SHOWN: Final = 200
"""Changed files in a frame: the newest ones; all of them are read on demand."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """Overlays by mount namespace, their upper layers now and before, and who else uses a layer."""

    overlays: Mapping[int, Overlay]
    uppers: Mapping[str, UpperReading]
    before: Mapping[str, UpperReading]
    seconds: float | None
    roots: Mapping[int, MountInfo]
    host_mounts: tuple[MountInfo, ...]
    host: int | None
    """Inode of the host's mount namespace."""


def stacks(
    previous: Sample | None, current: Sample, roots: Mapping[int, MountInfo], host: int | None
) -> Stacks:
    """Index two samples' overlays."""
    now = current.get(layers.KEY)
    then = previous.get(layers.KEY) if previous is not None else None
    listed = current.get(mounts.KEY)
    kernel = {one.namespace: one for one in now.overlays} if now else {}
    return Stacks(
        overlays={**drivers.fuse_overlays(current, roots), **kernel},
        uppers={one.upperdir: one for one in now.uppers} if now else {},
        before={one.upperdir: one for one in then.uppers} if then else {},
        seconds=elapsed(previous, current, layers.KEY),
        roots=roots,
        host_mounts=next(
            (space.mounts for space in listed.namespaces if space.namespace == host), ()
        )
        if listed
        else (),
        host=host,
    )


def users(found: Stacks, namespaces: Mapping[str, Inodes | None]) -> dict[str, tuple[str, ...]]:
    """Return which containers are over each directory, by its path."""
    over: dict[str, list[str]] = {}
    for container, inodes in namespaces.items():
        overlay = found.overlays.get(inodes[MNT] or 0) if inodes else None
        for path in (*overlay.lowerdirs, overlay.upperdir) if overlay else ():
            if path is not None:
                over.setdefault(path, []).append(container)
    return {path: tuple(containers) for path, containers in over.items()}


def rootfs(
    found: Stacks,
    inodes: Inodes | None,
    shared: Mapping[str, tuple[str, ...]],
    *,
    container: str,
    digests: Sequence[str] = (),
    memos: Memos | None = None,
) -> Rootfs | None:
    """Return the root mount of a container and its layers; None where mounts were not read.

    `digests` are what an engine tells of the image's layers, lowest first.
    """
    namespace = inodes[MNT] if inodes else None
    mount = found.roots.get(namespace or 0)
    if mount is None:
        return None
    overlay = found.overlays.get(namespace or 0)
    upper = found.uppers.get(overlay.upperdir) if overlay and overlay.upperdir else None
    growth = _growth(found, upper) if upper else None
    paths = (*overlay.lowerdirs, overlay.upperdir or "") if overlay else ()

    def make() -> Rootfs:
        layered = overlay and _layers(overlay, upper, shared, container=container, digests=digests)
        return Rootfs(
            driver=mount.fstype,
            path="/" if namespace == found.host else _path(found, mount, overlay),
            read_only="ro" in mount.options or "ro" in mount.super_options,
            layers=layered or (),
            changes=_changes(upper, growth) if upper else None,
            source=mount.source,
            dataset=drivers.dataset(mount),
            about=drivers.said(mount, overlay, found.host_mounts),
            data_layers=overlay.datadirs if overlay else (),
        )

    return (
        (memos or Memos())
        .memo("rootfs", Rootfs)
        .of(
            container,
            (
                namespace == found.host,
                mount,
                overlay,
                upper and (upper.size_bytes, upper.complete, upper.changes),
                growth,
                found.host_mounts,
                [shared.get(path) for path in paths],
                digests,
            ),
            make,
        )
    )


def _path(found: Stacks, mount: MountInfo, overlay: Overlay | None) -> str | None:
    return overlay.merged if overlay and overlay.merged else _where(found, mount)


def of_engine(named: EngineContainer) -> Rootfs | None:
    """Return what an engine says of a stopped container's layers; None where it says nothing."""
    if not named.lowerdirs:
        return None
    overlay = Overlay(
        namespace=0,
        device="",
        lowerdirs=named.lowerdirs,
        upperdir=named.upperdir,
        workdir=None,
        merged=None,
        options=(),
    )
    return Rootfs(
        driver="overlay",
        path=None,
        read_only=named.upperdir is None,
        layers=_layers(overlay, None, {}, container=named.id, digests=named.layer_digests),
        changes=None,
        about="not mounted: the container does not run; its layers as its engine tells them",
    )


def _layers(
    overlay: Overlay,
    upper: UpperReading | None,
    shared: Mapping[str, tuple[str, ...]],
    *,
    container: str,
    digests: Sequence[str],
) -> tuple[Layer, ...]:
    def others(path: str) -> tuple[str, ...]:
        return tuple(name for name in shared.get(path, ()) if name != container)

    result: list[Layer] = []
    if overlay.merged is not None:
        result.append(_layer("merged", overlay.merged))
    if overlay.upperdir is not None:
        result.append(
            Layer(
                role="upper",
                index=None,
                path=overlay.upperdir,
                digest=None,
                size_bytes=upper.size_bytes if upper else None,
                shared_by=others(overlay.upperdir),
            )
        )
    told = _digests(len(overlay.lowerdirs), digests)
    result.extend(
        Layer(
            role="lower",
            index=index,
            path=path,
            digest=told[index],
            size_bytes=None,
            shared_by=others(path),
        )
        for index, path in enumerate(overlay.lowerdirs)
    )
    if overlay.workdir is not None:
        result.append(_layer("work", overlay.workdir))
    return tuple(result)


def _digests(count: int, digests: Sequence[str]) -> Sequence[str | None]:
    """Return each lower directory's digest, uppermost first.

    An image's layers are the lowest directories, one each. Above them there is at most one that the
    engine has made for the container, as Docker's with /etc/hosts in it; any other number means that
    directories and layers are not the same, and nothing is told.
    """
    made = count - len(digests)
    if not digests or made not in {0, 1}:
        return (None,) * count
    return (*(None,) * made, *reversed(digests))


def _layer(role: str, path: str) -> Layer:
    return Layer(
        role="merged" if role == "merged" else "work",
        index=None,
        path=path,
        digest=None,
        size_bytes=None,
    )


def _changes(upper: UpperReading, growth: float | None) -> Changes:
    counts: dict[str, int] = {}
    for change in upper.changes:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    newest = sorted(upper.changes, key=lambda change: change.modified_at or 0.0, reverse=True)
    return Changes(
        added=counts.get("added", 0),
        modified=counts.get("modified", 0) + counts.get("redirected", 0),
        copied_up=counts.get("copied_up", 0) + counts.get("metacopy", 0),
        deleted=counts.get("deleted", 0),
        opaque=counts.get("opaque", 0),
        complete=upper.complete,
        size_bytes=upper.size_bytes,
        growth_bytes_per_second=growth,
        files=tuple(_change(change) for change in newest[:_SHOWN]),
    )


def _growth(found: Stacks, upper: UpperReading) -> float | None:
    """Return bytes a second, negative where files were removed; None where a walk was cut short."""
    before = found.before.get(upper.upperdir)
    if before is None or not upper.complete:
        return None
    size, since = before.size_bytes if before.complete else None, before.walked_at
    if since == upper.walked_at:
        # A directory that takes long to walk is not walked for each sample: its last two walks.
        size, since = upper.size_before_bytes, upper.walked_before_at or since
    seconds = upper.walked_at - since or found.seconds
    if size is None or not seconds:
        return None
    return (upper.size_bytes - size) / seconds


def _change(change: FileChange) -> Change:
    return Change(
        path=change.path,
        kind=change.kind,
        size_bytes=change.size_bytes,
        is_directory=change.is_directory,
        layer=change.layer,
        modified_at=None
        if change.modified_at is None
        else datetime.fromtimestamp(change.modified_at, UTC),
    )


def _where(found: Stacks, mount: MountInfo) -> str | None:
    """Return where the host sees a mount's directory: below its own mount of that filesystem."""
    best: str | None = None
    for other in found.host_mounts:
        if other.device != mount.device:
            continue
        below = other.root.rstrip("/")
        if mount.root == other.root or mount.root.startswith(f"{below}/"):
            path = f"{other.mountpoint.rstrip('/')}{mount.root[len(below) :]}" or "/"
            if best is None or len(other.root) > len(below):
                best = path.rstrip("/") or "/"
    return best
