"""Snapshots by overlayfs: a writable directory over read-only ones.

https://docs.kernel.org/filesystems/overlayfs.html
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from runtime import paths
from runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from runtime.formats import mountinfo
from runtime.linux import idmap
from runtime.metadata.store import SnapshotRecord, Store
from runtime.snapshots import trees


@dataclass(frozen=True, slots=True)
class Layers:
    """The directories of one snapshot; `mount_options` are what makes the merged tree of them."""

    lowerdirs: tuple[str, ...]
    """Topmost first."""
    upperdir: str
    workdir: str

    @property
    def mount_options(self) -> tuple[str, ...]:
        """Options of an `overlay` mount, escaped as overlayfs and mount(2) read them."""
        lower = ":".join(escape(path).replace(":", "\\:") for path in self.lowerdirs)
        return (
            f"lowerdir={lower}",
            f"upperdir={escape(self.upperdir)}",
            f"workdir={escape(self.workdir)}",
            # Its own marks are in attributes that only root of the host may set otherwise.
            *(("userxattr",) if idmap.nested() else ()),
        )


def escape(path: str) -> str:
    r"""Return a directory as overlayfs's options want it: a comma ends one, a backslash escapes.

    (In `lowerdir` a colon parts two directories and is escaped too.)
    """
    return path.replace("\\", "\\\\").replace(",", "\\,")


class OverlaySnapshotter:
    """Keeps the writable layers of one root."""

    def __init__(self, directory: str, store: Store) -> None:
        self._directory = directory
        self._store = store

    def prepare(self, key: str, lowerdirs: Sequence[str]) -> Layers:
        """Make an empty writable layer over `lowerdirs` (topmost first).

        Raises `AlreadyExists`, `NotFound` for a lower directory that is not there, and
        `InvalidArgument` for one that is no directory.
        """
        lower = tuple(os.path.abspath(path) for path in lowerdirs)
        if not lower:
            raise InvalidArgument(f"snapshot {key!r} has no lower directory")
        for path in lower:
            if not os.path.exists(path):
                raise NotFound(f"lower directory {path} does not exist")
            if not os.path.isdir(path):
                raise InvalidArgument(f"lower directory {path} is not a directory")
        record = self._store.add_snapshot(key, lower)
        layers = self._layers(record)
        try:
            paths.make_private(self._directory)
            home = os.path.dirname(layers.upperdir)
            os.mkdir(home, 0o700)
            os.mkdir(layers.workdir, 0o700)
            os.mkdir(layers.upperdir, 0o755)
            self._copy_attributes(lower[0], layers.upperdir)
        except BaseException:
            self.remove(key)
            raise
        return layers

    @staticmethod
    def _copy_attributes(source: str, target: str) -> None:
        """Give the merged root its mode and owner: they are the upper directory's."""
        found = os.stat(source)
        if not idmap.nested() or found.st_uid != _overflow_id():
            os.chown(target, found.st_uid, found.st_gid)
        os.chmod(target, found.st_mode & 0o7777)

    def layers(self, key: str) -> Layers:
        """Return a snapshot's directories, or raise `NotFound`."""
        return self._layers(self._store.snapshot(key))

    def all(self) -> dict[str, Layers]:
        """Return every snapshot's directories by its key."""
        return {record.key: self._layers(record) for record in self._store.snapshots()}

    def _layers(self, record: SnapshotRecord) -> Layers:
        home = os.path.join(self._directory, str(record.number))
        return Layers(record.lowerdirs, os.path.join(home, "fs"), os.path.join(home, "work"))

    def usage(self, key: str) -> trees.Usage:
        """Return what the writable layer takes."""
        return trees.usage(self.layers(key).upperdir)

    def mounted(self, key: str) -> bool:
        """Tell whether a snapshot is mounted where this process can see it; raises `NotFound`."""
        return _mounted(self.layers(key).upperdir)

    def remove(self, key: str) -> None:
        """Remove a writable layer; raises `NotFound`, or `FailedPrecondition` while it is mounted."""
        layers = self.layers(key)
        if _mounted(layers.upperdir):
            raise FailedPrecondition(f"snapshot {key!r} is mounted")
        trees.remove(os.path.dirname(layers.upperdir))
        self._store.delete_snapshot(key)


def _overflow_id() -> int:
    """Return who a file's owner seems to be that has no id here (user_namespaces(7))."""
    with open("/proc/sys/kernel/overflowuid", "rb") as file:
        return int(file.read())


def _mounted(upperdir: str) -> bool:
    """Tell whether some mount of this mount namespace has the directory as its upper one."""
    needle = f"upperdir={escape(upperdir)}"  # the kernel shows what mount(2) was given
    with open("/proc/self/mountinfo", "rb") as file:
        found = mountinfo.parse(file.read())
    return any(needle in mount.super_options for mount in found if mount.fstype == "overlay")
