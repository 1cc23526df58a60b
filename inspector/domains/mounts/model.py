"""Mounts, as the dump shows them."""

from typing import Literal

from msgspec import Struct

MountKind = Literal["root", "volume", "tmpfs", "mask", "kernel"]


class Mount(Struct, frozen=True, kw_only=True, gc=False):
    """One mount of one mount namespace."""

    mount_id: int
    parent_id: int
    namespace: int
    root: str
    mountpoint: str
    fstype: str
    source: str
    options: tuple[str, ...]
    super_options: tuple[str, ...]
    propagation: tuple[str, ...]
    container: str | None
    device: str = ""
    """`8:1`: of the file system, as stat(2) has it for most."""
    depth: int = 0
    """How many mounts it is below, in its namespace's tree; the namespace's mounts come in tree order."""
    kind: MountKind = "volume"
    """The root; a volume (a bind mount or a filesystem); memory; what hides a kernel file; the kernel's."""
    host_path: str | None = None
    """Where the host sees what is mounted, for a root or a volume; null where it does not."""
    size_limit_bytes: int | None = None
    """Of a tmpfs that was given one."""
    spreads: str = "private"
    """Its propagation in a word: private, shared, slave, `shared and slave`, unbindable."""


class MountedFilesystem(Struct, frozen=True, kw_only=True, gc=False):
    """One filesystem that is mounted as a root, a volume or memory: how full it is, whoever filled it."""

    device: str
    """As its mounts name it."""
    fstype: str
    source: str
    size_bytes: int | None
    """Null, as all of these, where it was not asked: one of another machine or of a process may never
    answer; an overlay is as full as the filesystem of its upper layer."""
    used_bytes: int | None
    available_bytes: int | None
    """To others than root."""
    inodes: int | None
    inodes_used: int | None
    containers: tuple[str, ...]
    """Those that have it mounted, or a part of it."""
