"""Mounts where rights are lacking: made in the user namespace, of what the host shows."""

import contextlib
import errno
import os
import stat
from collections.abc import Generator

from runtime.errors import FailedPrecondition, InvalidArgument
from runtime.init import paths
from runtime.linux import constants, mounts, syscalls


@contextlib.contextmanager
def left_to_child() -> Generator[None]:
    """Let a copy of mounts be made by the child, where a user may make none outside its namespace.

    Such a child is the same user's: it gets wherever its parent does.
    """
    try:
        yield
    except PermissionError as error:
        if error.errno != errno.EPERM or os.geteuid() == 0:
            raise


def bind_sysfs(place: int, attributes: int) -> None:
    """Show the host's sysfs: one of its own is for who owns the network namespace.

    That is the answer to EPERM; raises `InvalidArgument` if /sys is none.
    """
    tree = mounts.open_tree(constants.AT_FDCWD, "/sys", recursive=True)
    try:
        if syscalls.filesystem_magic(tree) != constants.SYSFS_MAGIC:
            raise InvalidArgument("/sys: is not a sysfs on this host")
        mounts.set_attributes(tree, propagation=constants.MS_PRIVATE, recursive=True)
        mounts.set_attributes(tree, attributes=attributes, recursive=True)
        mounts.move_mount(tree, place)
    finally:
        os.close(tree)


def bind_device(root: int, path: str, mode: int, device: int) -> None:
    """Show the host's node of a path: nobody makes one in a user namespace (mknod(2), EPERM).

    Raises `FailedPrecondition` unless it is the same device.
    """
    tree = mounts.open_tree(constants.AT_FDCWD, path)
    try:
        status = os.fstat(tree)
        if (stat.S_IFMT(status.st_mode), status.st_rdev) != (stat.S_IFMT(mode), device):
            raise FailedPrecondition(f"{path}: is another device on this host")
        mounts.set_attributes(tree, propagation=constants.MS_PRIVATE)
        place = paths.make(root, path, directory=False, strict=True)
        try:
            mounts.move_mount(tree, place)
        finally:
            os.close(place)
    finally:
        os.close(tree)
