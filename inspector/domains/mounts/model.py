"""Mounts, as the dump shows them."""

from msgspec import Struct


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
