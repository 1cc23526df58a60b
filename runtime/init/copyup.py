"""Copy what is in a directory into the tmpfs that is about to cover it (mount option `tmpcopyup`)."""

import os
import stat

_PART = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy(source: int, target: int) -> None:
    """Copy a directory's content, with owners, modes and times, and without following links.

    Both are open directories. Sockets are left out: nobody could listen on the copy.
    """
    with os.scandir(source) as entries:
        for name in [entry.name for entry in entries]:
            _copy_one(source, target, name)


def _copy_one(source: int, target: int, name: str) -> None:
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        inner, copied = (os.open(name, _DIRECTORY, dir_fd=each) for each in (source, target))
        try:
            copy(inner, copied)
            _attributes(copied, os.fstat(inner))
        finally:
            os.close(inner)
            os.close(copied)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    elif kind != stat.S_IFSOCK:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writing = os.open(name, flags, 0o600, dir_fd=target)
        try:
            _copy_bytes(reading, writing)
            _attributes(writing, os.fstat(reading))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_bytes(reading: int, writing: int) -> None:
    while part := os.read(reading, _PART):
        while part:
            part = part[os.write(writing, part) :]


def _attributes(descriptor: int, status: os.stat_result) -> None:
    os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
