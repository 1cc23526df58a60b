"""Reads the mounts of every mount namespace, each once: /proc/PID/mountinfo."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Problem
from collectors.members import Members, ask, mounts_of
from collectors.root import Root
from runtime.formats.mountinfo import MountInfo

__all__ = ("KEY", "MountInfo", "MountsReading", "NamespaceMounts", "read")


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
    who = who or Members()
    by_namespace, denied = who.of(root, "mnt")
    problems = list(denied)
    found: list[NamespaceMounts] = []
    for inode, pids in by_namespace.items():
        try:
            pid, mounts = ask(
                root, "mnt", inode, pids=pids, question=lambda pid: mounts_of(root, pid, who.tables)
            )
        except Gone:
            continue
        except CollectError as error:
            problems.append(error.problem())
            continue
        found.append(NamespaceMounts(inode, pid, _root_path(root, pid), mounts))
    return MountsReading(tuple(found), tuple(problems))


def _root_path(root: Root, pid: int) -> str | None:
    try:
        return root.link(f"proc/{pid}/root")
    except CollectError:
        return None
