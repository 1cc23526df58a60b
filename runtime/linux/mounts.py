"""The system calls that mount: mount(2)'s old family, and the one that works on descriptors."""

import ctypes
import os
import struct

from runtime.linux import constants, syscalls

_libc = ctypes.PyDLL(None, use_errno=True)
_libc.mount.argtypes = [*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]


def mount(source: str, target: str, *, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, bind or remount (mount(2))."""
    encoded = [os.fsencode(each) for each in (source, target, fstype)]
    if _libc.mount(*encoded, flags, os.fsencode(data) if data else None) < 0:
        raise syscalls.failure("mount")


def unmount(target: str, flags: int = 0) -> None:
    """Unmount (umount2(2))."""
    if _libc.umount2(os.fsencode(target), flags) < 0:
        raise syscalls.failure("umount2")


def pivot_root(new_root: str, put_old: str) -> None:
    """Change the root mount of the calling process's mount namespace (pivot_root(2))."""
    syscalls.call("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def open_tree(directory: int, path: str = "", *, recursive: bool = False) -> int:
    """Return a detached copy of the mount at a path, or of all below it too (open_tree(2)).

    An empty path means the descriptor itself.
    """
    flags = constants.OPEN_TREE_CLONE | constants.OPEN_TREE_CLOEXEC
    if not path:
        flags |= constants.AT_EMPTY_PATH
    if recursive:
        flags |= constants.AT_RECURSIVE
    return syscalls.call("open_tree", directory, os.fsencode(path), flags)


def move_mount(tree: int, target: int) -> None:
    """Attach a detached tree on what a descriptor names (move_mount(2))."""
    flags = constants.MOVE_MOUNT_F_EMPTY_PATH | constants.MOVE_MOUNT_T_EMPTY_PATH
    syscalls.call("move_mount", tree, b"", target, b"", flags)


def set_attributes(
    tree: int,
    *,
    attributes: int = 0,
    clear: int = 0,
    propagation: int = 0,
    userns: int = 0,
    recursive: bool = False,
) -> None:
    """Change the attributes of the mount that a descriptor is of (mount_setattr(2))."""
    flags = constants.AT_EMPTY_PATH | (constants.AT_RECURSIVE if recursive else 0)
    packed = struct.pack("=4Q", attributes, clear, propagation, userns)
    syscalls.call("mount_setattr", tree, b"", flags, packed, len(packed))


def filesystem(fstype: str, options: dict[str, str], *, attributes: int = 0) -> int:
    """Return a detached mount of a new filesystem (fsopen(2), fsconfig(2), fsmount(2))."""
    context = syscalls.call("fsopen", os.fsencode(fstype), constants.FSOPEN_CLOEXEC)
    try:
        for key, value in options.items():
            syscalls.call(
                "fsconfig",
                context,
                constants.FSCONFIG_SET_STRING if value else constants.FSCONFIG_SET_FLAG,
                os.fsencode(key),
                os.fsencode(value) if value else None,
                0,
            )
        syscalls.call("fsconfig", context, constants.FSCONFIG_CMD_CREATE, None, None, 0)
        return syscalls.call("fsmount", context, constants.FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)
