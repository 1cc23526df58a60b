"""The mounts of one namespace as a tree, and what each of them is for."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from collectors.kernel.mounts import MountInfo

MountKind = Literal["root", "volume", "tmpfs", "mask", "kernel"]

_KERNEL: Final = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
        "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs",
        "securityfs", "selinuxfs", "sysfs", "tracefs",
    }
)  # fmt: skip
_HIDDEN: Final = re.compile(r"/(?:proc|sys)/.+")
_SIZE: Final = re.compile(r"([0-9]+)([kmg]?)", re.ASCII)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def order(mounts: Sequence[MountInfo]) -> list[tuple[int, MountInfo]]:
    """Return every mount once with its depth, parents before children, children as they were mounted.

    A mount whose parent is not listed, as the root's never is, begins at depth 0.
    """
    listed = {mount.mount_id for mount in mounts}
    below: dict[int, list[MountInfo]] = {}
    tops: list[MountInfo] = []
    for mount in mounts:
        if mount.parent_id in listed and mount.parent_id != mount.mount_id:
            below.setdefault(mount.parent_id, []).append(mount)
        else:
            tops.append(mount)
    found: list[tuple[int, MountInfo]] = []
    waiting = [(0, mount) for mount in reversed(tops)]
    while waiting:
        depth, mount = waiting.pop()
        found.append((depth, mount))
        waiting.extend((depth + 1, child) for child in reversed(below.pop(mount.mount_id, ())))
    # A ring of parents, which only a damaged recording has, hangs from nothing.
    found.extend((0, mount) for children in below.values() for mount in children)
    return found


def kind(mount: MountInfo) -> MountKind:
    """Return what a mount is for: the root, a volume, memory, a mask over the kernel's files, those."""
    if mount.mountpoint == "/":
        return "root"
    if _HIDDEN.fullmatch(mount.mountpoint) and (
        mount.fstype == "tmpfs" or mount.root in {"/null", "/dev/null"}
    ):
        return "mask"
    if mount.fstype in _KERNEL:
        return "kernel"
    return "tmpfs" if mount.fstype == "tmpfs" and mount.root == "/" else "volume"


def size_limit(mount: MountInfo) -> int | None:
    """Return how many bytes a tmpfs may hold (tmpfs(5), `size=`); None: half of the memory, or no tmpfs."""
    if mount.fstype != "tmpfs":
        return None
    for option in mount.super_options:
        name, _, value = option.partition("=")
        match = _SIZE.fullmatch(value) if name == "size" else None
        if match is not None:
            return int(match[1]) * _UNITS[match[2]] or None
    return None


class HostView:
    """Tells where the host sees what another namespace has mounted."""

    def __init__(self, mounts: Sequence[MountInfo]) -> None:
        """Take the host's own mounts."""
        self._by_device: dict[str, list[tuple[str, str]]] = {}
        for mount in mounts:
            self._by_device.setdefault(mount.device, []).append((mount.root, mount.mountpoint))

    def path(self, mount: MountInfo) -> str | None:
        """Return the host's path of a mount's directory; None where the host does not see it."""
        best: tuple[int, str] | None = None
        for root, mountpoint in self._by_device.get(mount.device, ()):
            below = root.rstrip("/")
            if mount.root != root and not mount.root.startswith(f"{below}/"):
                continue
            path = f"{mountpoint.rstrip('/')}{mount.root[len(below) :]}".rstrip("/") or "/"
            if best is None or len(below) > best[0]:
                best = len(below), path
        return best[1] if best else None


def propagation(mount: MountInfo) -> str:
    """Return `private`, `shared`, `slave`, `shared and slave` or `unbindable`."""
    words = {option.partition(":")[0] for option in mount.propagation}
    parts = [name for name, flag in (("shared", "shared"), ("slave", "master")) if flag in words]
    return " and ".join(parts) or ("unbindable" if "unbindable" in words else "private")
