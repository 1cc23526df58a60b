"""User namespaces as id maps: write them, hold one open, and map the ids of a mount by it."""

import os
import signal
from collections.abc import Sequence

from runtime.formats import idmap
from runtime.linux import constants, mounts, syscalls


def write_maps(pid: int, uids: Sequence[idmap.Extent], gids: Sequence[idmap.Extent]) -> None:
    """Give a process's new user namespace its maps; once only (user_namespaces(7))."""
    for name, extents in (("uid_map", uids), ("gid_map", gids)):
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, idmap.render(extents))
        finally:
            os.close(descriptor)


def user_namespace(uids: Sequence[idmap.Extent], gids: Sequence[idmap.Extent]) -> int:
    """Return an open user namespace of these maps that nobody is in.

    Only for a process without threads: it is made by a child, which ends at once.
    """
    child = syscalls.clone3(constants.CLONE_NEWUSER, exit_signal=signal.SIGCHLD)
    if child.pid == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        write_maps(child.pid, uids, gids)
        return os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.waitid(constants.P_PIDFD, child.pidfd, os.WEXITED)
        os.close(child.pidfd)


def mapped_tree(path: str, userns: int) -> int:
    """Return a detached mount of `path` that shows ids as seen through a user namespace.

    Raises OSError EINVAL where the filesystem cannot (mount_setattr(2), "ID-mapped mounts").
    """
    tree = mounts.open_tree(constants.AT_FDCWD, path)
    try:
        mounts.set_attributes(tree, attributes=constants.MOUNT_ATTR_IDMAP, userns=userns)
    except OSError:
        os.close(tree)
        raise
    return tree
