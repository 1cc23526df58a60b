"""Start an init that was left waiting, from another process than the one that made it."""

import os

from runtime.errors import FailedPrecondition
from runtime.init.launch import failure
from runtime.init.ready import REPORT, START


def start(directory: str) -> None:
    """Let an init that waits by the FIFOs of a directory execute its command.

    Returns when it has; raises why it could not, `FailedPrecondition` if it has ended before.
    """
    start, report = f"{directory}/{START}", f"{directory}/{REPORT}"
    try:
        told = os.open(report, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FailedPrecondition("the container does not wait for a start") from None
    with open(told, "rb", buffering=0) as reader:
        try:
            word = os.open(start, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:  # ENXIO: nobody has the other end
            raise FailedPrecondition("the container's init has ended") from error
        try:
            os.write(word, b"S")
        finally:
            os.close(word)
        os.unlink(start)
        os.set_blocking(told, True)
        message = reader.read()
    os.unlink(report)
    if message:
        raise failure(message)
