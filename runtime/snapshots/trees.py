"""Directory trees through descriptors: removed and measured without ever following a link."""

import os
import stat
from typing import NamedTuple

from runtime.errors import Internal


class Usage(NamedTuple):
    """What a tree takes on its disk."""

    size_bytes: int
    inodes: int


def remove(path: str) -> None:
    """Remove a directory and all below it; one that is not there is no error.

    Every step is relative to an open directory and opened with O_NOFOLLOW, so that a link in the
    tree, or one swapped in meanwhile, never leads out of it. Raises `Internal` naming what stays.
    """
    try:
        parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        _remove_at(parent, os.path.basename(path))
    except OSError as error:
        raise Internal(f"cannot remove {path}: {error.filename}: {error.strerror}") from error
    finally:
        os.close(parent)


def _remove_at(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        _empty(parent, name)
        os.rmdir(name, dir_fd=parent)


def _empty(parent: int, name: str) -> None:
    """Remove what a directory holds; depth is bounded by descriptors, not by Python's stack."""
    stack = [_open_directory(parent, name)]
    names = [name]
    try:
        while stack:
            deeper = _unlink_all(stack[-1])
            if deeper is not None:
                stack.append(_open_directory(stack[-1], deeper))
                names.append(deeper)
                continue
            os.close(stack.pop())
            done = names.pop()
            if stack:
                os.rmdir(done, dir_fd=stack[-1])
    finally:
        for descriptor in stack:
            os.close(descriptor)


def _open_directory(parent: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=parent)


def _unlink_all(directory: int) -> str | None:
    """Unlink every file of a directory; return the first entry that is a directory with contents."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=directory)
                continue
            try:
                os.rmdir(entry.name, dir_fd=directory)
            except OSError:
                return entry.name
    return None


def empty(path: str) -> None:
    """Remove all that a directory holds, and leave the directory."""
    for name in os.listdir(path):
        remove(os.path.join(path, name))


def usage(path: str) -> Usage:
    """Return what a tree takes: allocated blocks, each inode once, as `du` counts."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for _, _, files, descriptor in os.fwalk(path, follow_symlinks=False):
        for name in (".", *files):
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue  # a running container may remove it meanwhile
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return Usage(total, len(seen))


def is_whiteout(found: os.stat_result) -> bool:
    """Tell whether an entry of an upper layer hides one below: a character device 0:0."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
