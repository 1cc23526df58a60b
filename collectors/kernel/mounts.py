"""Reads the mounts of every mount namespace, each once: /proc/PID/mountinfo."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.root import Root
from runtime.formats.mountinfo import MountInfo


class NamespaceMounts(Struct, frozen=True):
    """One mount namespace's mounts, as one process in it sees them."""

    namespace: int
    """Inode."""
    pid: int
    """The process that was asked."""
    root_path: str | None
    """Its /proc/PID/root, which is another directory than `/` in a chroot."""
    mounts: tuple[MountInfo, ...]


class MountsReading(Struct, frozen=True):
    """Every mount namespace that has a process."""

    namespaces: tuple[NamespaceMounts, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("mounts", MountsReading)


def read(root: Root) -> MountsReading:
    """Read one process's mountinfo for each mount namespace."""
    raise NotImplementedError(root)
