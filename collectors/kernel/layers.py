"""Reads overlay filesystems: their layers from mount options, what the upper layer changed from disk."""

import time
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname, join, normpath

from msgspec import Struct, structs

from collectors.collector import Key
from collectors.errors import CollectError, Denied, Missing, Problem
from collectors.members import Members, Mounted, namespace
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
_AGAIN_SECONDS = 10.0
"""Until it is looked again where layers are, though nothing was mounted."""
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

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._walks: dict[str, _Walk] = {}
        self._mounted: Mounted | None = None
        self._overlays: tuple[Overlay, ...] = ()
        self._found_at = 0.0

    def read(self, root: Root) -> LayersReading:
        """Find the overlays, and walk the upper directories whose turn it is."""
        now = time.monotonic()
        mounted = self._who.mounted(root)
        problems = list(mounted.problems)
        if mounted is not self._mounted or now - self._found_at >= _AGAIN_SECONDS:
            self._overlays = _found(root, mounted)
            self._mounted, self._found_at = mounted, now
        overlays = self._overlays
        uppers = {one.upperdir: one for one in overlays if one.upperdir is not None}
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


class _Walk(Struct, frozen=True):
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


def find(root: Root, who: Members | None = None) -> tuple[tuple[Overlay, ...], list[Problem]]:
    """Return the overlays that are the root mount of a mount namespace other than the host's."""
    mounted = (who or Members()).mounted(root)
    return _found(root, mounted), list(mounted.problems)


def _found(root: Root, mounted: Mounted) -> tuple[Overlay, ...]:
    host = _host(root)
    seen = dict(mounted.namespaces)
    _, host_mounts = seen.pop(host, (0, ())) if host is not None else (0, ())
    # The host's own root may be an overlay, as on a live medium or within a container: namespaces
    # that services made for themselves share it, and are not containers for that.
    own = _root_mount(host_mounts)
    views = _views(host_mounts, seen)
    overlays: list[Overlay] = []
    for inode, (_, mounts) in seen.items():
        top = _root_mount(mounts)
        if top is None or top.fstype != "overlay" or (own and top.device == own.device):
            continue
        overlays.append(_overlay(root, inode, top, views.get(top.device, _View("", None))))
    return tuple(overlays)


class _View(Struct, frozen=True):
    """Where an overlay was mounted: its options name directories as they are seen from there."""

    prefix: str
    """What to put before a path: empty for the host's own, `/proc/PID/root` for another's."""
    merged: str | None


def _views(
    host_mounts: Sequence[MountInfo], seen: Mapping[int, tuple[int, Sequence[MountInfo]]]
) -> Mapping[str, _View]:
    """Return who sees each overlay mounted somewhere, by its device: the host before any other.

    An engine that runs in a container mounts in its namespace, where the host sees nothing.
    """
    views: dict[str, _View] = {}
    for mount in _merged(host_mounts):
        views.setdefault(mount.device, _View("", mount.mountpoint))
    for pid, mounts in seen.values():
        for mount in _merged(mounts):
            views.setdefault(mount.device, _View(f"/proc/{pid}/root", mount.mountpoint))
    return views


def _merged(mounts: Sequence[MountInfo]) -> Iterator[MountInfo]:
    return (
        mount
        for mount in mounts
        if mount.fstype == "overlay" and mount.root == "/" and mount.mountpoint != "/"
    )


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


def _overlay(root: Root, inode: int, mount: MountInfo, view: _View) -> Overlay:
    named = options.directories(mount.super_options)
    bases = tuple(_bases(named.upperdir, named.workdir, view.merged))

    def located(path: str) -> str:
        return _locate(root, path, bases, prefix=view.prefix)

    return Overlay(
        namespace=inode,
        device=mount.device,
        lowerdirs=tuple(map(located, named.lowerdirs)),
        upperdir=None if named.upperdir is None else located(named.upperdir),
        workdir=None if named.workdir is None else located(named.workdir),
        merged=None if view.prefix else view.merged,
        options=named.others,
        datadirs=tuple(map(located, named.datadirs)),
    )


def _bases(*paths: str | None) -> Iterator[str]:
    """Yield where a relative layer may be: engines change to a directory above, to save length."""
    for path in paths:
        above = path or ""
        for _ in range(_ANCESTORS):
            above = dirname(above)
            if above.startswith("/") and above != "/":
                yield above


def _locate(root: Root, path: str, bases: Sequence[str], *, prefix: str) -> str:
    """Return where a directory is: absolute, Docker's short links undone; as named if not found.

    An upper directory's escapes are shown as they were given, and only some kernels heed them.
    """
    candidates = [path] if path.startswith("/") else [join(base, path) for base in bases]
    if "\\" in path:
        candidates += [options.unescape(one) for one in candidates]
    for candidate in candidates:
        try:
            target = root.link(prefix + candidate)
        except (Missing, Denied):
            continue
        except CollectError:
            # readlink(2) says EINVAL of what is there and is no symbolic link.
            return prefix + candidate
        return prefix + normpath(join(dirname(candidate), target))
    return path
