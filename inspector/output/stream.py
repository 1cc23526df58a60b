"""Where data goes: stdout, or a file that appears whole or not at all."""

import contextlib
import os
import sys

from inspector.errors import Failure


def write(data: bytes) -> None:
    """Write to stdout and flush, so that a reader at the other end of a pipe has it now."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_file(path: str, data: bytes) -> None:
    """Write a file by renaming a finished one over it; raise `Failure`, and leave nothing behind.

    `-` is stdout; a device or a FIFO is written as it is, for it must not be replaced.
    """
    if path == "-":
        write(data)
        return
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                file.write(data)
            return
        _replace(os.path.realpath(path), data)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}") from error


def _replace(path: str, data: bytes) -> None:
    import tempfile  # noqa: PLC0415 - 8 ms, and most commands write to stdout

    directory, name = os.path.split(path)
    fd, temporary = tempfile.mkstemp(prefix=f".{name[:64]}.", dir=directory or ".")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _mode(path: str) -> int:
    """Return the permissions of the file that is replaced, or those that a new one would have."""
    try:
        return os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
