"""Paths of a container, resolved so that no link of its image or volumes can lead out of it.

`openat2` with RESOLVE_IN_ROOT takes links as the container would. What is found is held as a
descriptor, and mounted on as one: a link swapped in later changes nothing (openat2(2)).
"""

import errno
import os
import posixpath
import stat

from runtime.errors import InvalidArgument
from runtime.linux import constants, syscalls

_INSIDE = constants.RESOLVE_IN_ROOT | constants.RESOLVE_NO_MAGICLINKS
_STRICT = _INSIDE | constants.RESOLVE_NO_SYMLINKS
_TRIES = 5000


def clean(path: str) -> str:
    """Return an absolute path without `.`, `..` and double slashes, relative to the root."""
    return posixpath.normpath("/" + path).strip("/")


def find(root: int, path: str, *, flags: int = os.O_PATH, strict: bool = False) -> int:
    """Open what a path of the container names; with `strict` no part of it may be a link."""
    resolve = _STRICT if strict else _INSIDE
    for left in reversed(range(_TRIES)):
        try:
            return syscalls.openat2(root, clean(path) or ".", flags, resolve=resolve)
        except OSError as error:
            # Any rename or mount on the host leaves the kernel unsure of a link's `..` (openat2(2)).
            if error.errno != errno.EAGAIN or not left:
                raise OSError(error.errno, error.strerror, path) from None
    raise AssertionError("the last try returns or raises")


def make(root: int, path: str, *, directory: bool, strict: bool = False) -> int:
    """Open what a path names as O_PATH, made first if it is missing, with all above it."""
    try:
        found = find(root, path, strict=strict)
    except FileNotFoundError:
        found = _create(root, clean(path), directory=directory, strict=strict)
    is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
    if is_directory != directory:
        os.close(found)
        raise InvalidArgument(f"{path}: is {'a' if is_directory else 'not a'} directory")
    return found


def _create(root: int, path: str, *, directory: bool, strict: bool) -> int:
    current = os.dup(root)
    parts = path.split("/")
    for index, name in enumerate(parts):
        last = index == len(parts) - 1
        try:
            following = find(root, "/".join(parts[: index + 1]), strict=strict)
        except FileNotFoundError:
            try:
                following = _make_one(current, name, directory=directory or not last)
            except OSError as error:
                os.close(current)
                raise OSError(error.errno, error.strerror, "/" + path) from None
        os.close(current)
        current = following
    return current


def _make_one(parent: int, name: str, *, directory: bool) -> int:
    if directory:
        os.mkdir(name, 0o755, dir_fd=parent)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, 0o644, dir_fd=parent))
    beneath = constants.RESOLVE_BENEATH | constants.RESOLVE_NO_SYMLINKS
    return syscalls.openat2(parent, name, os.O_PATH, resolve=beneath)


def descriptor_path(descriptor: int) -> str:
    """Return a path by which mount(2) reaches what a descriptor names."""
    return f"/proc/self/fd/{descriptor}"


def null_device(root: int) -> int:
    """Open /dev/null of the container for reading and writing, verified to be the null device."""
    return verified_device(root, "/dev/null", os.makedev(1, 3))


def verified_device(root: int, path: str, device: int, *, flags: int = os.O_RDWR) -> int:
    """Open a character device after making sure that it is the one meant."""
    flags |= os.O_NOCTTY | os.O_NONBLOCK
    probe = find(root, path, strict=True)
    try:
        status = os.fstat(probe)
    finally:
        os.close(probe)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == device:
        opened = find(root, path, flags=flags, strict=True)
        if os.fstat(opened).st_rdev == device:
            os.set_blocking(opened, True)
            return opened
        os.close(opened)
    raise InvalidArgument(f"{path}: is not the device {os.major(device)}:{os.minor(device)}")
