"""Mount overlays whose lower layers show their ids through a user namespace (overlayfs.rst).

The upper layer cannot be mapped as well: overlayfs makes its own files there as the one who
mounts, whose ids have no place in the map, and falls back to read-only. So what a container makes
is on disk with the ids of its range, as containerd and Podman have it.
"""

import os
from collections.abc import Sequence

from runtime.errors import FailedPrecondition
from runtime.formats.idmap import Extent
from runtime.linux import constants, idmap, mounts


def mount_mapped(
    options: Sequence[str],
    target: str,
    *,
    uids: Sequence[Extent],
    gids: Sequence[Extent],
    flags: int = 0,
) -> None:
    """Mount an overlay for a user namespace of these maps on `target`.

    `options` are an ordinary overlay's. Files that are root's in a lower layer are then root's in
    the container; a new upper layer's top directory is given to the container's root. Only for a
    process without threads. Raises `FailedPrecondition` where a layer's filesystem cannot map ids,
    with nothing mounted.
    """
    chosen: dict[str, str] = {}
    for option in options:
        key, _, value = option.partition("=")
        chosen[key] = value
    userns = idmap.user_namespace(uids, gids)
    stages: list[str] = []
    try:
        lower = [
            _stage(path, userns, f"{target}.layer{index}", stages=stages)
            for index, path in enumerate(_split(chosen["lowerdir"]))
        ]
        if "upperdir" in chosen:
            _give(chosen["upperdir"], uids, gids)
        data = chosen | {"lowerdir": ":".join(lower)}
        text = ",".join(f"{key}={value}" if value else key for key, value in data.items())
        mounts.mount("overlay", target, fstype="overlay", flags=flags, data=text)
    finally:
        os.close(userns)
        for stage in reversed(stages):
            _unstage(stage)


def _give(directory: str, uids: Sequence[Extent], gids: Sequence[Extent]) -> None:
    """Make a directory of the host's root the container's root's."""
    status = os.stat(directory)
    owner = _outside(status.st_uid, uids), _outside(status.st_gid, gids)
    if status.st_uid == 0 and None not in owner:
        os.chown(directory, owner[0] or 0, owner[1] or 0)


def _outside(number: int, extents: Sequence[Extent]) -> int | None:
    for extent in extents:
        if extent.inside <= number < extent.inside + extent.size:
            return extent.outside + number - extent.inside
    return None


def _stage(path: str, userns: int, stage: str, *, stages: list[str]) -> str:
    """Attach a mapped copy of a layer at a place of its own: an overlay takes paths."""
    try:
        tree = idmap.mapped_tree(path, userns)
    except OSError as error:
        if error.errno not in {1, 22, 38}:  # EPERM, EINVAL, ENOSYS
            raise
        raise FailedPrecondition(
            f"{path}: its filesystem cannot map ids on this kernel, as a user namespace needs"
        ) from error
    try:
        os.mkdir(stage, 0o700)
        stages.append(stage)
        place = os.open(stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mounts.set_attributes(tree, propagation=constants.MS_PRIVATE)
            mounts.move_mount(tree, place)
        finally:
            os.close(place)
    finally:
        os.close(tree)
    return stage


def _unstage(stage: str) -> None:
    try:
        mounts.unmount(stage, constants.MNT_DETACH | constants.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno != 22:  # EINVAL: it was never attached
            raise
    os.rmdir(stage)


def _split(value: str) -> list[str]:
    """Return the paths of `lowerdir`, in which a backslash keeps a colon from dividing."""
    paths = [""]
    escaped = False
    for character in value:
        if character == ":" and not escaped:
            paths.append("")
            continue
        if escaped or character != "\\":
            paths[-1] += character
        escaped = character == "\\" and not escaped
    return paths
