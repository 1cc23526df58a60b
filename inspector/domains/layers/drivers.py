"""What can be told of root filesystems that are no kernel overlay, and what kind an overlay is."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from collectors.kernel import mounts, processes
from collectors.kernel.layers import Overlay
from collectors.kernel.mounts import MountInfo
from collectors.overlay import options
from inspector.sample import Sample

FUSE: Final = "fuse.fuse-overlayfs"
_OPTION: Final = re.compile(r"(?:\\.|[^,\\])+", re.DOTALL)
_SAID: Final[Mapping[str, str]] = {
    "overlay": "overlay: the layers below as one, changes in the upper one",
    FUSE: "fuse-overlayfs: an overlay that a process makes, without root",
    "btrfs": "a btrfs subvolume, as a rule a snapshot of the image's",
    "zfs": "a ZFS dataset, as a rule a clone of the image's",
    "erofs": "an EROFS image, read-only",
    "squashfs": "a squashfs image, read-only",
    "virtiofs": "a directory of the host's that a virtual machine shares",
    "9p": "a directory of the host's that a virtual machine shares",
    "tmpfs": "in memory: what is written is gone when it ends",
    "nfs": "a directory of another host",
    "nfs4": "a directory of another host",
}
_MAPPED: Final = re.compile(r"/dev/(?:mapper/|dm-)")


def said(mount: MountInfo, overlay: Overlay | None, host_mounts: Iterable[MountInfo]) -> str:
    """Return in a sentence what a root filesystem is made of."""
    if overlay is not None and mount.fstype == "overlay":
        return _overlay(overlay, host_mounts)
    if mount.fstype in {"btrfs", "zfs"}:
        where = dataset(mount)
        return _SAID[mount.fstype] + (f": {where}" if where else "")
    if mount.fstype in _SAID:
        return _SAID[mount.fstype]
    if _MAPPED.match(mount.source):
        return (
            f"{mount.fstype} on the device-mapper volume {mount.source}: no layers as directories"
        )
    if mount.root != "/":
        return f"a directory of the {mount.fstype} filesystem on {mount.source}"
    return f"a {mount.fstype} filesystem of its own, on {mount.source}"


def dataset(mount: MountInfo) -> str | None:
    """Return a btrfs subvolume's path (btrfs(5), `subvol=`) or a ZFS dataset's name."""
    if mount.fstype == "btrfs":
        for option in mount.super_options:
            name, _, value = option.partition("=")
            if name == "subvol":
                return value
        return mount.root
    return mount.source if mount.fstype == "zfs" else None


def _overlay(overlay: Overlay, host_mounts: Iterable[MountInfo]) -> str:
    if not overlay.datadirs and "verity=require" not in overlay.options:
        return _SAID["overlay"]
    images = {mount.mountpoint for mount in host_mounts if mount.fstype == "erofs"}
    if "verity=require" in overlay.options or images & set(overlay.lowerdirs):
        return "composefs: names and owners of an EROFS image over files found by their contents"
    # Its image need not be mounted where the host sees it, nor anywhere by now.
    return (
        "composefs, or the like: an overlay with data-only layers, whose files have names in the "
        "layers above alone"
    )


def fuse_overlays(current: Sample, roots: Mapping[int, MountInfo]) -> dict[int, Overlay]:
    """Return the fuse-overlayfs roots by mount namespace: their layers stand on a command line.

    The kernel knows nothing of them: the process that serves one was told the directories, and the
    mountpoint, which is where the namespace that mounted it has a mount of the same device.
    """
    wanted = {namespace: mount.device for namespace, mount in roots.items() if mount.fstype == FUSE}
    if not wanted:
        return {}
    served = dict(_served(current))
    listed = current.get(mounts.KEY)
    by_device: dict[str, Overlay] = {}
    for space in listed.namespaces if listed else ():
        for mount in space.mounts:
            if mount.fstype == FUSE and mount.mountpoint in served:
                by_device.setdefault(mount.device, served[mount.mountpoint])
    return {
        namespace: by_device[device] for namespace, device in wanted.items() if device in by_device
    }


def _served(current: Sample) -> Iterator[tuple[str, Overlay]]:
    reading = current.get(processes.KEY)
    for process in reading.processes if reading else ():
        if process.comm == "fuse-overlayfs" and len(process.command) > 2:
            found = from_command(process.command)
            if found is not None:
                yield found.merged or "", found


def from_command(command: Iterable[str]) -> Overlay | None:
    """Return the overlay of a `fuse-overlayfs -o lowerdir=…,upperdir=… MOUNTPOINT` command line."""
    words = iter(command)
    next(words, None)
    named: list[str] = []
    last = ""
    for word in words:
        if word == "-o":
            named += _OPTION.findall(next(words, ""))
        elif word.startswith("-o"):
            named += _OPTION.findall(word[2:])
        elif not word.startswith("-"):
            last = word
    found = options.directories(named)
    if not found.lowerdirs or not last.startswith("/"):
        return None
    return Overlay(
        namespace=0,
        device="",
        lowerdirs=found.lowerdirs,
        upperdir=options.unescape(found.upperdir) if found.upperdir else None,
        workdir=options.unescape(found.workdir) if found.workdir else None,
        merged=last,
        options=found.others,
    )
