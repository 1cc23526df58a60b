"""The one place that reads files: everything above it gets bytes."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from collectors.errors import CollectError, Denied, Gone, Missing, Unsupported
from runtime.formats import text

_CHUNK = 65536
_SHORT = 4096
"""Of the first read of a file that is told in one piece: what is longer is read on."""
_RECORD = 64
"""Longer than any record of those of them that have several: so much less than a page is the end."""
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LEAF = 2
"""Links of a directory with none below it: its name, and its own `.`."""
_GONE = (errno.ESRCH, errno.ENODEV)
_DENIED = (errno.EACCES, errno.EPERM)
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP)


@dataclass(slots=True)
class Reads:
    """Counts what was read: a frame tells its own cost by it."""

    files: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """A filesystem root to read from: `/`, a mounted host, or a recorded tree.

    Names are relative to it, without a leading slash: `proc/1/stat`.
    """

    path: str = "/"
    reads: Reads = field(default_factory=Reads, compare=False)

    @property
    def live(self) -> bool:
        """Whether this is the running host, where ioctls and sockets mean something."""
        return self.path == "/"

    def resolve(self, name: str) -> str:
        """Return the path to open for a name."""
        return f"{self.path.rstrip('/')}/{name.lstrip('/')}"

    def read(self, name: str, *, most_bytes: int | None = None) -> bytes:
        """Return a file's bytes, of a long one about so many; raise `Missing`, `Denied` or `Gone`."""
        self.reads.files += 1
        try:
            return _read(self.resolve(name), most_bytes=most_bytes)
        except OSError as error:
            raise translate(error, name, operation(error)) from error

    def told(self, name: str) -> bytes:
        """Return a file of the kernel's that is told in one piece, as `Directory.told` does."""
        self.reads.files += 1
        try:
            return _told(self.resolve(name))
        except OSError as error:
            raise translate(error, name, operation(error)) from error

    def names(self, directory: str) -> list[str]:
        """Return the entries of a directory; raise as `read` does.

        A name that is not UTF-8 is as the os module has it, to be opened; for a record, `text.clean` it.
        """
        self.reads.files += 1
        try:
            return os.listdir(self.resolve(directory))
        except OSError as error:
            raise translate(error, directory, "readdir") from error

    def link(self, name: str) -> str:
        """Return what a symbolic link says, as clean text; raise as `read` does."""
        self.reads.files += 1
        try:
            return text.clean(os.readlink(self.resolve(name)))
        except OSError as error:
            raise translate(error, name, "readlink") from error

    def directory(self, name: str, *, listed: bool = False) -> "Directory":
        """Open a directory to read from, and to list; raise as `read` does. Use it in a `with`."""
        self.reads.files += 1
        flags = os.O_DIRECTORY | os.O_CLOEXEC | (os.O_RDONLY if listed else os.O_PATH)
        try:
            fd = os.open(self.resolve(name), flags)
        except OSError as error:
            raise translate(error, name, "open") from error
        return Directory(fd, name, self.reads)


class Directory:
    """An open directory: what is read through it belongs to the same process, the same cgroup.

    /proc/PID held open never shows another process, even when the pid is used again: its files are
    then `Missing` or `Gone`. Names are relative to it.
    """

    __slots__ = ("_reads", "fd", "name")

    def __init__(self, fd: int, name: str, reads: Reads) -> None:
        self.fd = fd
        self.name = name
        self._reads = reads

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.fd)

    def path(self, name: str) -> str:
        """Return a file's absolute path within the root, for a problem to name it."""
        return os.path.normpath(text.clean(f"/{self.name.lstrip('/')}/{name}"))

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raise as `Root.read` does."""
        self._reads.files += 1
        try:
            return _read(name, self.fd)
        except OSError as error:
            raise translate(error, self.path(name), operation(error)) from error

    def told(self, name: str) -> bytes:
        """Return a file that the kernel tells in one piece, or in lines of a number; raise as `read`.

        Of such a file, as a cgroup's are, a read gives all that fits (seq_file.rst): one that is short
        by more than a line was the last, and no other is made to learn that.
        """
        self._reads.files += 1
        try:
            return _told(name, self.fd)
        except OSError as error:
            raise translate(error, self.path(name), operation(error)) from error

    def directory(self, name: str) -> "Directory":
        """Open a directory relative to this one, to list it too; raise as `Root.read` does."""
        self._reads.files += 1
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=self.fd)
        except OSError as error:
            raise translate(error, self.path(name), "open") from error
        return Directory(fd, f"{self.name}/{name}", self._reads)

    def names(self) -> list[str]:
        """Return its entries; only where it was opened to be listed. Raise as `Root.read` does."""
        try:
            return os.listdir(self.fd)
        except OSError as error:
            raise translate(error, self.name, "readdir") from error

    def entries(self) -> tuple[list[str], list[str]]:
        """Return its files and its directories, as `names` does; of links nothing is said."""
        try:
            with os.scandir(self.fd) as scan:
                entries = list(scan)
            directories = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            files = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError as error:
            raise translate(error, self.name, "readdir") from error
        return files, directories

    def counted_entries(self) -> tuple[list[str], list[str]]:
        """Return the same of a filesystem whose directories count those below them as links.

        cgroupfs does (kernfs): of one that has none all names are files, and no entry is looked at.
        """
        try:
            names = os.listdir(self.fd)
            if os.fstat(self.fd).st_nlink == _LEAF:
                return names, []
        except OSError as error:
            raise translate(error, self.name, "readdir") from error
        return self.entries()

    def inode(self) -> int:
        """Return its own inode."""
        return os.fstat(self.fd).st_ino

    def leaf(self) -> int | None:
        """Return its own inode; None where there are directories in it, of a filesystem that counts them."""
        status = os.fstat(self.fd)
        return status.st_ino if status.st_nlink == _LEAF else None

    def size(self) -> int:
        """Return the directory's size, whatever that says; raise as `Root.read` does."""
        try:
            return os.fstat(self.fd).st_size
        except OSError as error:
            raise translate(error, self.name, "stat") from error

    def links(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """Return what several links say, None for one that is not there; raise as `Root.read` does."""
        self._reads.files += len(names)
        found: list[str | None] = []
        name = ""
        try:
            for name in names:
                try:
                    target = os.readlink(name, dir_fd=self.fd)
                except FileNotFoundError:
                    found.append(None)
                else:
                    found.append(target if target.isascii() else text.clean(target))
        except OSError as error:
            raise translate(error, self.path(name), "readlink") from error
        return tuple(found)

    def link(self, name: str) -> str:
        """Return what a symbolic link says; raise as `Root.read` does."""
        self._reads.files += 1
        try:
            target = os.readlink(name, dir_fd=self.fd)
            return target if target.isascii() else text.clean(target)
        except OSError as error:
            raise translate(error, self.path(name), "readlink") from error


def translate(error: OSError, name: str, operation: str) -> CollectError:
    """Return the collecting error for a system error: what the reader can do about it."""
    path = text.clean(f"/{name.lstrip('/')}")
    message = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _GONE:
        return Gone(path, operation, message)
    if error.errno in _DENIED:
        return Denied(path, operation, message)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return Missing(path, operation, message)
    if error.errno in _UNSUPPORTED:
        return Unsupported(path, operation, message)
    return CollectError(path, operation, message)


def operation(error: OSError) -> str:
    """Return which call of `Root.read` failed: only open(2) tells the error a file's name."""
    return "read" if error.filename is None else "open"


def _read(path: str, directory: int | None = None, *, most_bytes: int | None = None) -> bytes:
    """Read to the end, which only an empty read tells, or until there are so many bytes.

    A short one does not: of a file with a record a line, as mountinfo, the kernel gives as many whole
    records as fit into a page, and those of overlays are long. A pipe must not make the reader wait.
    """
    fd = os.open(path, _FLAGS, dir_fd=directory)
    try:
        data = chunk = os.read(fd, _CHUNK)
        if not chunk:
            return data
        rest: list[bytes] = []
        size = len(data)
        while chunk and (most_bytes is None or size < most_bytes):
            chunk = os.read(fd, _CHUNK)
            rest.append(chunk)
            size += len(chunk)
        return data + b"".join(rest) if size > len(data) else data
    finally:
        os.close(fd)


def _told(path: str, directory: int | None = None) -> bytes:
    fd = os.open(path, _FLAGS, dir_fd=directory)
    try:
        data = os.read(fd, _SHORT)
        if len(data) <= _SHORT - _RECORD:
            return data
        chunk, rest = data, [data]
        while chunk:
            chunk = os.read(fd, _CHUNK)
            rest.append(chunk)
        return b"".join(rest)
    finally:
        os.close(fd)
