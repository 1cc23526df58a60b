"""Files kept open between two readings: read again by pread(2), an eighth of what opening them costs."""

import os
import resource

from collectors.root import Root, operation, translate

_SIZE = 4096
"""Of one read: what is longer is read on. A larger buffer costs more than it saves."""


_FLAGS = os.O_RDONLY | os.O_CLOEXEC


class File:
    """A file by its name within the root, and its descriptor while it is open; -1 is none.

    One that is not to be kept is opened each time. So must one be that has a record a line: of such
    a file the kernel gives whole records only, and a short read does not say that it was the last.
    """

    __slots__ = ("fd", "keep", "name")

    def __init__(self, name: str, *, keep: bool = True) -> None:
        self.name = name
        self.keep = keep
        self.fd = -1


class Kept:
    """Opens files to be read again and again, as long as descriptors are left.

    Only such files belong here whose open descriptor holds nothing alive: of a process or a cgroup
    that ended, reading says so. Never those of a process's mounts and network (mountinfo, net/dev),
    which would keep its namespaces alive.
    """

    def __init__(self, root: Root, share: float = 0.35) -> None:
        """Take the share of this process's limit of descriptors (RLIMIT_NOFILE) that may be used."""
        self._root = root
        self._share = share
        self._open: set[int] = set()
        self._room = 0
        self.renew()

    def __del__(self) -> None:
        """Close what is open."""
        for fd in self._open:
            os.close(fd)

    @property
    def held(self) -> int:
        """How many descriptors are open."""
        return len(self._open)

    def read(self, file: File) -> bytes:
        """Return a file's bytes; raise as `Root.read` does, then it is closed."""
        if not file.keep:
            return self._root.read(file.name)
        self._root.reads.files += 1
        fd = file.fd
        if fd < 0:
            try:
                fd = os.open(self._root.resolve(file.name), _FLAGS)
            except OSError as error:
                raise translate(error, file.name, operation(error)) from error
            file.fd = fd
            self._open.add(fd)
        try:
            data = os.pread(fd, _SIZE, 0)
            if len(data) == _SIZE:
                data = _rest(fd, data)
        except OSError as error:
            self.close(file)
            raise translate(error, file.name, "read") from error
        if len(self._open) > self._room:
            self.close(file)
        return data

    def close(self, file: File) -> None:
        """Close it, if it is open."""
        fd, file.fd = file.fd, -1
        if fd >= 0:
            self._open.discard(fd)
            os.close(fd)

    def renew(self) -> None:
        """Look again how many descriptors there may be: once a frame."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._room = int(soft * self._share)


def _rest(fd: int, data: bytes) -> bytes:
    """Read to the end, which only an empty read tells."""
    chunk = data
    while chunk:
        chunk = os.pread(fd, 65536, len(data))
        data += chunk
    return data
