"""Reads the mounts of every mount namespace, each once: /proc/PID/mountinfo."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Problem
from collectors.members import Members
from collectors.root import Root
from runtime.formats.mountinfo import MountInfo

__all__ = ("KEY", "MountInfo", "MountsReading", "NamespaceMounts", "Reader", "read")


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


def read(root: Root, who: Members | None = None) -> MountsReading:
    """Read one process's mountinfo for each mount namespace: the one with the lowest pid.

    Where that one exits meanwhile the next is asked; a namespace whose last process exits is left
    out.
    """
    return Reader(who).read(root)


class Reader:
    """Reads again and again: what is known to be as it was is told by the same record."""

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._known: dict[int, tuple[int, NamespaceMounts]] = {}
        """By namespace: in which walk it was read, and the record."""

    def read(self, root: Root) -> MountsReading:
        """Return the mounts of every namespace, as `read` does."""
        mounted = self._who.mounted(root)
        self._known = {
            inode: self._namespace(root, inode, pid, mounts)
            for inode, (pid, mounts) in mounted.namespaces.items()
        }
        return MountsReading(tuple([one for _, one in self._known.values()]), mounted.problems)

    def _namespace(
        self, root: Root, inode: int, pid: int, mounts: tuple[MountInfo, ...]
    ) -> tuple[int, NamespaceMounts]:
        """Return it with its walk: chroot(2) needs its process to run, pivot_root(2) changes mounts."""
        known = self._known.get(inode)
        same = known is not None and known[1].pid == pid and known[1].mounts is mounts
        if known is not None and same and self._who.rested(pid, known[0]):
            return known
        one = NamespaceMounts(inode, pid, _root_path(root, pid), mounts)
        if known is not None and same and known[1].root_path == one.root_path:
            one = known[1]
        return self._who.walk, one


def _root_path(root: Root, pid: int) -> str | None:
    try:
        return root.link(f"proc/{pid}/root")
    except CollectError:
        return None
