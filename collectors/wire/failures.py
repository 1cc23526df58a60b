"""What goes wrong while talking to an engine, in the collectors' words."""

import errno
import os

from collectors.errors import CollectError, Denied, Missing, Unavailable


class Refused(Unavailable):
    """The engine answered with an error status."""

    def __init__(self, path: str, operation: str, message: str, *, status: int) -> None:
        super().__init__(path, operation, message)
        self.status = status
        """HTTP's: 404 is a container that went away meanwhile."""


def connect_error(path: str, error: OSError) -> CollectError:
    """Return the collecting error for a failed connect(2) to a unix socket."""
    message = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return Missing(path, "connect", message)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Denied(path, "connect", message)
    return Unavailable(path, "connect", message)
