"""Mounts, as the dump shows them."""

from typing import Literal

from msgspec import Struct

MountKind = Literal["root", "volume", "tmpfs", "mask", "kernel"]


class Mount(Struct, frozen=True, kw_only=True):
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
