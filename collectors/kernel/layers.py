"""Reads overlay filesystems: their layers from mount options, what the upper layer changed from disk."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname, join, normpath

from msgspec import Struct, structs

from collectors.collector import Key
from collectors.errors import CollectError, Denied, Gone, Missing, Problem
from collectors.members import ask, members, mounts_of, namespace
from collectors.overlay import options
from collectors.overlay.records import FileChange, LayerSize, Overlay, UpperReading
from collectors.overlay.scan import layer_sizes, scan
from collectors.root import Root
from runtime.formats.mountinfo import MountInfo

__all__ = (
    "KEY",
    "FileChange",
    "LayerSize",
    "LayersReading",
    "Overlay",
    "Reader",
    "UpperReading",
    "layer_sizes",
    "read",
    "scan",
)

_ENTRIES = 20_000
_SECONDS = 0.25
_ALL_SECONDS = 1.0
"""A reading's budget: for each upper directory, and for all of them together."""
_REST = 20
"""Times that a walk took, until the next one."""
_ANCESTORS = 4


class LayersReading(Struct, frozen=True):
    """Every overlay that is the root of a mount namespace, and the upper layers' contents."""

    overlays: tuple[Overlay, ...]
    uppers: tuple[UpperReading, ...]
    """By upperdir; one that could not be walked is in `problems`."""
    problems: tuple[Problem, ...] = ()


KEY = Key("layers", LayersReading)


def read(root: Root) -> LayersReading:
    """Find the overlays and walk their upper directories, within a budget.

    An upper directory is walked up to 20,000 entries and a quarter of a second, all of them
    together a second; `scan` walks one to its end.
    """
    return Reader().read(root)


class Reader:
    """Reads again and again: an upper directory that takes long to walk is not walked each time.

    One is walked again when twenty times as long has passed as its walk took, so that walking
    takes a twentieth of the time at most; until then it is told as it was, with `walked_at`.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._walks: dict[str, _Walk] = {}

    def read(self, root: Root) -> LayersReading:
        """Find the overlays, and walk the upper directories whose turn it is."""
        overlays, problems = find(root)
        uppers = {one.upperdir: one for one in overlays if one.upperdir is not None}
        now = time.monotonic()
        self._walks = {path: walk for path, walk in self._walks.items() if path in uppers}
        due = [path for path in uppers if path not in self._walks or self._walks[path].due(now)]
        share = min(_SECONDS, _ALL_SECONDS / max(1, len(due)))
        for path in due:
            try:
                self._walks[path] = _walk(root, uppers[path], share, self._walks.get(path))
            except CollectError as error:
                self._walks.pop(path, None)
                problems.append(error.problem())
        readings = tuple(walk.reading for _, walk in sorted(self._walks.items()))
        return LayersReading(overlays, readings, tuple(problems))


@dataclass(frozen=True, slots=True)
class _Walk:
    reading: UpperReading
    seconds: float

    def due(self, now: float) -> bool:
        return now - self.reading.walked_at >= _REST * self.seconds


def _walk(root: Root, overlay: Overlay, seconds: float, before: _Walk | None) -> _Walk:
    began = time.monotonic()
    found = scan(root, overlay, limit=_ENTRIES, seconds=seconds)
    if before is not None and before.reading.complete:
        found = structs.replace(
            found,
            size_before_bytes=before.reading.size_bytes,
            walked_before_at=before.reading.walked_at,
        )
    return _Walk(found, time.monotonic() - began)


def find(root: Root) -> tuple[tuple[Overlay, ...], list[Problem]]:
    """Return the overlays that are the root mount of a mount namespace other than the host's."""
    by_namespace, denied = members(root, "mnt")
    problems = list(denied)
    host = _host(root)
    seen: dict[int, tuple[MountInfo, ...]] = {}
    for inode, pids in by_namespace.items():
        try:
            _, seen[inode] = ask(pids, lambda pid: mounts_of(root, pid))
        except Gone:
            continue
        except CollectError as error:
            problems.append(error.problem())
    host_mounts = seen.pop(host, ()) if host is not None else ()
    # The host's own root may be an overlay, as on a live medium or within a container: namespaces
    # that services made for themselves share it, and are not containers for that.
    own = _root_mount(host_mounts)
    return tuple(_overlays(root, seen, host_mounts, own)), problems


def _overlays(
    root: Root,
    seen: Mapping[int, Sequence[MountInfo]],
    host_mounts: Sequence[MountInfo],
    own: MountInfo | None,
) -> Iterator[Overlay]:
    merged: dict[str, str] = {}
    for mount in host_mounts:
        if mount.fstype == "overlay" and mount.root == "/":
            merged.setdefault(mount.device, mount.mountpoint)
    for inode, mounts in seen.items():
        top = _root_mount(mounts)
        if top is None or top.fstype != "overlay":
            continue
        if own is None or top.device != own.device:
            yield _overlay(root, inode, top, merged.get(top.device))


def _root_mount(mounts: Sequence[MountInfo]) -> MountInfo | None:
    """Return what is mounted at `/`: the topmost, where several are on each other."""
    roots = {mount.mount_id: mount for mount in mounts if mount.mountpoint == "/"}
    covered = {mount.parent_id for mount in roots.values() if mount.parent_id != mount.mount_id}
    return next((mount for mount in roots.values() if mount.mount_id not in covered), None)


def _host(root: Root) -> int | None:
    """Return the host's mount namespace: pid 1's, or that of the kernel's threads, or our own."""
    candidates: tuple[int | str, ...] = (1, *_kernel_threads(root), "self")
    for pid in candidates:
        try:
            return namespace(root, pid, "mnt")
        except CollectError:
            continue
    return None


def _kernel_threads(root: Root) -> tuple[int, ...]:
    try:
        return (2,) if root.read("proc/2/comm") == b"kthreadd\n" else ()
    except CollectError:
        return ()


def _overlay(root: Root, inode: int, mount: MountInfo, merged: str | None) -> Overlay:
    named = options.directories(mount.super_options)
    upperdir = named.upperdir
    workdir = named.workdir
    bases = tuple(_bases(upperdir, workdir, merged))
    if upperdir is not None:
        upperdir = _locate(root, upperdir, bases)
    if workdir is not None:
        workdir = _locate(root, workdir, bases)
    return Overlay(
        namespace=inode,
        device=mount.device,
        lowerdirs=tuple(_locate(root, one, bases) for one in named.lowerdirs),
        upperdir=upperdir,
        workdir=workdir,
        merged=merged,
        options=named.others,
        datadirs=tuple(_locate(root, one, bases) for one in named.datadirs),
    )


def _bases(*paths: str | None) -> Iterator[str]:
    """Yield where a relative layer may be: engines change to a directory above, to save length."""
    for path in paths:
        above = path or ""
        for _ in range(_ANCESTORS):
            above = dirname(above)
            if above.startswith("/") and above != "/":
                yield above


def _locate(root: Root, path: str, bases: Sequence[str]) -> str:
    """Return where a directory is: absolute, Docker's short links undone; as named if not found.

    An upper directory's escapes are shown as they were given, and only some kernels heed them.
    """
    candidates = [path] if path.startswith("/") else [join(base, path) for base in bases]
    if "\\" in path:
        candidates += [options.unescape(one) for one in candidates]
    for candidate in candidates:
        try:
            return normpath(join(dirname(candidate), root.link(candidate)))
        except (Missing, Denied):
            continue
        except CollectError:
            # readlink(2) says EINVAL of what is there and is no symbolic link.
            return candidate
    return path
