"""Where a container's output goes to: a FIFO that a client reads, or a file."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from runtime.errors import InvalidArgument, NotFound

TYPE_CHECKING = False

Rest = tuple[str, str, bool, int]
"""What a sink is in short: its kind, path, whether it is held, and descriptor."""
_FIRST_READER_SECONDS = 2.0
"""How long the first bytes wait for a client that is just opening its FIFO."""


def check_fifo(path: str) -> None:
    """Raise `NotFound` or `InvalidArgument` if a client's path is no FIFO."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise NotFound(f"no FIFO {path}: {error.strerror}") from error
    if not stat.S_ISFIFO(mode):
        raise InvalidArgument(f"{path} is not a FIFO")


class Fifo:
    """A client's FIFO; `write` never blocks.

    With `hold` the shim keeps a reading end itself, as containerd's shims do: the client may leave
    and another come, and meanwhile output waits in the FIFO. Without it, output that nobody
    reads is dropped here (it is in the log), so that a dead client never blocks the container.
    """

    def __init__(self, path: str, *, hold: bool, descriptor: int | None = None) -> None:
        """With a descriptor, which may be -1, it goes on for one that had no data waiting."""
        self._path = path
        self._hold = hold
        self._patience = time.monotonic() + _FIRST_READER_SECONDS
        if descriptor is not None:
            self.descriptor = descriptor
            self._patience = 0
            return
        self.descriptor = -1
        check_fifo(path)
        self._connect()

    def rest(self) -> Rest:
        """Return what `again` makes the same of."""
        return "fifo", self._path, self._hold, self.descriptor

    def _connect(self) -> bool:
        """Open the writing end; tell whether it may be tried again."""
        access = os.O_RDWR if self._hold else os.O_WRONLY
        try:
            self.descriptor = os.open(self._path, access | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return error.errno == errno.ENXIO  # nobody reads yet
        return True

    def write(self, data: bytes) -> int:
        """Return how many bytes need no further thought: written, or dropped for want of a reader.

        0 with a `descriptor` of -1 means: ask again soon.
        """
        if self.descriptor < 0 and not self._connect():
            return len(data)
        if self.descriptor < 0:
            return 0 if time.monotonic() < self._patience else len(data)
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            self._patience = 0
            return len(data)

    def close(self) -> None:
        """Let the reader see the end."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class File:
    """A regular file that output is appended to (`file:///path`)."""

    def __init__(self, path: str, *, descriptor: int | None = None) -> None:
        if descriptor is not None:
            self.descriptor = descriptor
            return
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o644)

    def rest(self) -> Rest:
        """Return what `again` makes the same of."""
        return "file", "", False, self.descriptor

    def write(self, data: bytes) -> int:
        """Write it all; what a full disk refuses is lost."""
        with contextlib.suppress(OSError):
            os.write(self.descriptor, data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Nothing:
    """No client: the log is all."""

    descriptor = -1

    def rest(self) -> Rest:
        """Return what `again` makes the same of."""
        return "", "", False, -1

    def write(self, data: bytes) -> int:
        """Drop it."""
        return len(data)

    def close(self) -> None:
        """Nothing to close."""


Sink = Fifo | File | Nothing


def again(rest: Rest) -> Sink:
    """Return a sink that goes on for another, in a process that has its descriptors."""
    kind, path, hold, descriptor = rest
    if kind == "fifo":
        return Fifo(path, hold=hold, descriptor=descriptor)
    return File(path, descriptor=descriptor) if kind else Nothing()


def open_sink(uri: str, *, hold: bool) -> Sink:
    """Open what a Create or Exec request names: empty, a FIFO's path, `fifo://` or `file://`."""
    if not uri:
        return Nothing()
    scheme, separator, path = uri.partition("://")
    if not separator or scheme == "fifo":
        return Fifo(path if separator else uri, hold=hold)
    if scheme == "file":
        return File(path)
    raise InvalidArgument(f"output to {scheme}:// is not supported, only FIFOs and file://")
