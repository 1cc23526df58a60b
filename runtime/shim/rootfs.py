"""Mounts a container's root filesystem on its bundle, and takes it away."""

from __future__ import annotations

import errno
import os

from runtime.errors import FailedPrecondition, Internal, InvalidArgument
from runtime.formats import mountinfo
from runtime.linux import constants, idmap, mounts, overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.formats.idmap import Extent
    from runtime.proto.task import Mount

_FLAGS = {
    "ro": constants.MS_RDONLY,
    "nosuid": constants.MS_NOSUID,
    "nodev": constants.MS_NODEV,
    "noexec": constants.MS_NOEXEC,
    "bind": constants.MS_BIND,
    "rbind": constants.MS_BIND | constants.MS_REC,
    "noatime": constants.MS_NOATIME,
    "nodiratime": constants.MS_NODIRATIME,
    "relatime": constants.MS_RELATIME,
    "rw": 0,
    "defaults": 0,
}
_DETACH = constants.MNT_DETACH
_NOFOLLOW = 8  # UMOUNT_NOFOLLOW of umount2(2)
_ESCAPED = {" ", "\t", "\n", "\\"}
"""What is written otherwise in mountinfo (proc_pid_mountinfo(5))."""


Maps = tuple["Sequence[Extent]", "Sequence[Extent]"]
"""The uids and gids of a container's user namespace."""


def mount_all(wanted: Sequence[Mount], target: str, *, maps: Maps | None = None) -> None:
    """Mount one upon another, as containerd describes them; nothing stays mounted if one fails.

    With `maps` the lower layers of an overlay show their ids as the user namespace has them.
    """
    os.makedirs(target, mode=0o711, exist_ok=True)
    try:
        for each in wanted:
            if maps is not None and each.type == "overlay":
                overlay.mount_mapped(each.options, target, uids=maps[0], gids=maps[1])
            else:
                _mount(each, target)
    except BaseException:
        unmount_all(target)
        raise


def _mount(wanted: Mount, target: str) -> None:
    if wanted.target:
        raise InvalidArgument(f"a root filesystem below {wanted.target!r} is not supported")
    flags, data = 0, list[str]()
    for option in wanted.options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            data.append(option)
    try:
        mounts.mount(wanted.source, target, fstype=wanted.type, flags=flags, data=",".join(data))
        if flags & constants.MS_BIND and flags & ~(constants.MS_BIND | constants.MS_REC):
            # a bind takes its flags only from a second call (mount(2))
            mounts.mount("", target, flags=flags & ~constants.MS_REC | constants.MS_REMOUNT)
    except OSError as error:
        if wanted.type == "overlay" and error.errno == errno.EINVAL and idmap.nested():
            raise FailedPrecondition(
                "a user namespace cannot have a directory with mounts on it as a container's root, "
                "as the host's own is (mount_namespaces(7)): give another one by --rootfs "
                f"({data[0][:400] if data else ''})"
            ) from error
        raise Internal(
            f"cannot mount {wanted.type} {wanted.source} on {target}: {error.strerror}"
            f" ({','.join(wanted.options)[:400]})"
        ) from error


def unmount_all(target: str) -> None:
    """Unmount everything at and below a path; where nothing is mounted nothing is done."""
    target = os.path.realpath(target)
    while _unmounted(target):  # with all that is mounted below
        pass
    with open("/proc/self/mountinfo", "rb", buffering=0) as file:
        data = file.readall()
    if os.fsencode(target) not in data and not set(target) & _ESCAPED:
        return
    found = mountinfo.parse(data)
    below = [
        m.mountpoint
        for m in found
        if m.mountpoint == target or m.mountpoint.startswith(target + "/")
    ]
    for mountpoint in reversed(below):
        _unmounted(mountpoint)


def _unmounted(mountpoint: str) -> bool:
    """Unmount what is on top at a path; tell whether there was something."""
    try:
        mounts.unmount(mountpoint, _DETACH | _NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT}:
            return False
        raise Internal(f"cannot unmount {mountpoint}: {error.strerror}") from error
    return True
