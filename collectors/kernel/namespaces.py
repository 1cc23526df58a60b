"""Reads every namespace: /proc/PID/ns/*, parents and owners by ioctl_ns(2), and what pins them."""

from typing import Literal

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root

Type = Literal["mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time"]
TYPES: tuple[Type, ...] = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time")


class IdMap(Struct, frozen=True):
    """One line of uid_map or gid_map (user_namespaces(7)): inside, outside, how many."""

    inside: int
    outside: int
    count: int


class Pin(Struct, frozen=True):
    """What holds a namespace without being in it: a bind mount or an open descriptor."""

    kind: Literal["bind", "fd"]
    path: str
    """The mountpoint, or `/proc/PID/fd/N`."""


class Namespace(Struct, frozen=True, kw_only=True):
    """One namespace; `None` is "the kernel would not say"."""

    inode: int
    type: Type
    parent: int | None
    """Inode; only pid and user namespaces have one, and only below the reader's own."""
    owner_user_ns: int | None
    owner_uid: int | None
    """User namespaces only: who made it (NS_GET_OWNER_UID)."""
    pinned_by: tuple[Pin, ...] = ()
    uid_map: tuple[IdMap, ...] | None = None
    gid_map: tuple[IdMap, ...] | None = None


class Membership(Struct, frozen=True):
    """Which namespaces a process is in; `inodes` has one entry a type of `TYPES`.

    None where the kernel has no such type or would not say. The process is the one with these
    start ticks, so that a pid used again joins with nothing.
    """

    pid: int
    start_ticks: int
    inodes: tuple[int | None, ...]


class NamespacesReading(Struct, frozen=True):
    """Every namespace, and every process's memberships, by pid."""

    namespaces: tuple[Namespace, ...]
    memberships: tuple[Membership, ...]
    own: tuple[int | None, ...]
    """The reader's own namespaces, by `TYPES`."""
    init: tuple[int | None, ...]
    """Those of the host's pid 1 (or, within a container, of the pid 1 that is seen)."""
    problems: tuple[Problem, ...] = ()


KEY = Key("namespaces", NamespacesReading)


def read(root: Root) -> NamespacesReading:
    """Walk /proc once."""
    raise NotImplementedError(root)
