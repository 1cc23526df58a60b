"""Namespaces, as the dump shows them."""

from msgspec import Struct

from inspector.domains.containers.model import IdMapping


class Namespace(Struct, frozen=True, kw_only=True, gc=False):
    """One namespace; a parent or owner that the kernel would not say is null."""

    inode: int
    type: str
    parent: int | None
    owner_user_ns: int | None
    owner_uid: int | None
    processes: int
    pids: tuple[int, ...]
    containers: tuple[str, ...]
    pinned_by: tuple[str, ...]
    """`bind /run/netns/blue`, `fd /proc/12/fd/4`."""
    uid_map: tuple[IdMapping, ...] | None
    gid_map: tuple[IdMapping, ...] | None
    host: bool
    """Whether pid 1 of the host is in it."""
    services: tuple[str, ...] = ()
    """systemd's, that have it as PrivateTmp=, PrivateNetwork= and the like give it: no containers."""
