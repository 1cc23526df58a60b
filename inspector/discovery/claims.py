"""Whose engine may name which container: a user's own daemon can say anything, about anybody's."""

from collectors.engine import EngineContainer
from inspector.discovery.world import USER, World

_DEEPEST = 33
"""User namespaces within each other, as many as the kernel allows (user_namespaces(7))."""


def may_name(seen: World, pid: int, record: EngineContainer) -> bool:
    """Return whether a record may be that of a container whose first process this is.

    Root's engine, and that of whoever asks, may name any. Another user's may name what runs in a user
    namespace of that user's or below one (user_namespaces(7): who made it owns it), or as that user.
    Where the kernel does not say who owns one, nobody is denied.
    """
    return record.said_by is None or _is_of(seen, pid, record.said_by)


def _is_of(seen: World, pid: int, uid: int) -> bool:
    process = seen.processes.get(pid)
    if process is not None and process.uid == uid:
        return True
    inodes = seen.members.get(pid)
    inode = inodes[USER] if inodes is not None else None
    for _ in range(_DEEPEST):
        space = seen.namespaces.get(inode) if inode is not None else None
        if space is None or space.owner_uid is None:
            return True
        if space.owner_uid == uid:
            return True
        if space.parent is None:
            return False
        inode = space.parent
    return False
