"""The container's log file: every line it writes, with a time, in the CRI log format.

A line is `TIME stdout|stderr F|P TEXT`: F ends with a newline of the container's, P does not
(https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md).
"""

from __future__ import annotations

import os
import time

from runtime.events.journal import rfc3339

LIMIT_BYTES = 16 << 20


class ContainerLog:
    """Appends to one file, with one older file kept; a full disk loses lines, never the container."""

    def __init__(
        self, path: str, *, limit_bytes: int = LIMIT_BYTES, descriptor: int | None = None
    ) -> None:
        """With a descriptor the file is open already."""
        self._path = path
        self._limit = limit_bytes
        self.descriptor = -1
        self._size = 0
        self._open(descriptor)

    def _open(self, descriptor: int | None = None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(self._path, flags, 0o600) if descriptor is None else descriptor
        self._size = os.fstat(self.descriptor).st_size

    def write(self, stream: str, data: bytes) -> None:
        """Append what came from a stream at this moment."""
        prefix = f"{rfc3339(time.time_ns())} {stream} ".encode()
        *lines, rest = data.split(b"\n")
        out = b"".join(prefix + b"F " + line + b"\n" for line in lines)
        if rest:
            out += prefix + b"P " + rest + b"\n"
        try:
            self._size += os.write(self.descriptor, out)
            if self._size > self._limit:
                os.rename(self._path, self._path + ".1")
                os.close(self.descriptor)
                self._open()
        except OSError:
            return  # no space, or the container's directory is being removed

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
