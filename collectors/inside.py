"""Opens what is inside a container from outside: no path leads out, nothing is executed in it.

Paths are looked up as if the container's root were the root of all (openat2(2), RESOLVE_IN_ROOT), with
the kernel's magic links refused. Nothing but regular files and directories is opened: opening a device
can do something, opening a FIFO waits.
"""

import os
import stat
from typing import Self

from collectors.errors import Gone, Missing, Unsupported
from collectors.members import namespace
from collectors.root import Root, translate
from collectors.syscalls import open_in_root, reopen_regular

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Inside:
    """A directory that is the root of all paths, held open; use it in a `with`."""

    def __init__(self, fd: int, name: str) -> None:
        """Own a descriptor; `name` is what errors call the root."""
        self._fd = fd
        self.name = name

    @classmethod
    def of_process(cls, root: Root, pid: int, mount_namespace: int | None) -> Self:
        """Open what a process has as its root, volumes and all.

        Raises `CollectError`; `Gone` when the process is another one by now, told by its namespace.
        """
        name = f"proc/{pid}/root"
        try:
            fd = os.open(root.resolve(name), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise translate(error, name, "open") from error
        inside = cls(fd, f"/{name}")
        try:
            now = namespace(root, pid, "mnt")
        except BaseException:
            inside.close()
            raise
        if mount_namespace is not None and now != mount_namespace:
            inside.close()
            raise Gone(f"/{name}", "open", "the process is in another mount namespace by now")
        return inside

    @classmethod
    def of_directory(cls, root: Root, path: str) -> Self:
        """Open a directory of the host; raise `CollectError`."""
        try:
            fd = os.open(root.resolve(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise translate(error, path, "open") from error
        return cls(fd, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the root."""
        os.close(self._fd)

    def look(self, path: str, *, follow: bool) -> int:
        """Return an O_PATH descriptor of whatever is at a path; the caller closes it.

        `follow` is about the last part alone: links on the way are always followed. Raises `CollectError`.
        """
        return self._open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))

    def directory(self, path: str) -> int:
        """Open a directory, links followed; the caller closes it. Raises `CollectError`."""
        return self._open(path, os.O_RDONLY | os.O_DIRECTORY)

    def file(self, path: str) -> int:
        """Open a regular file to read it, links followed; the caller closes it.

        Raises `CollectError`; `Unsupported` says what it is instead of a regular file.
        """
        seen = self.look(path, follow=True)
        try:
            kind = stat.S_IFMT(os.fstat(seen).st_mode)
            if kind != stat.S_IFREG:
                raise Unsupported(path, "open", f"it is {_KINDS.get(kind, 'no regular file')}")
            return reopen_regular(seen, path)
        except OSError as error:
            raise translate(error, path, "open") from error
        finally:
            os.close(seen)

    def _open(self, path: str, flags: int) -> int:
        if "\0" in path:
            raise Missing(path, "open", "a path has no zero byte in it")
        try:
            return open_in_root(self._fd, path, flags)
        except OSError as error:
            raise translate(error, path, "open") from error


def read(fd: int, path: str, most_bytes: int) -> bytes:
    """Return a file's first bytes, at most so many; raise `CollectError`."""
    pieces: list[bytes] = []
    left = most_bytes
    try:
        while left > 0 and (piece := os.read(fd, min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise translate(error, path, "read") from error
    return b"".join(pieces)
