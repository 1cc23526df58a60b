"""One lock a container: whoever changes one holds it, in whatever process."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from runtime.errors import NotFound, Unavailable

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01


@asynccontextmanager
async def locked(directory: str) -> AsyncGenerator[int]:
    """Hold the lock of a container's directory, which is made if it is not there.

    The kernel frees it when its holder dies. Yields the descriptor, which a shim may inherit.
    Raises `NotFound` if the directory was removed meanwhile, `Unavailable` after a minute.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"{directory} was removed meanwhile") from None
    try:
        await _acquire(descriptor, directory)
        if not os.fstat(descriptor).st_nlink:
            raise NotFound(f"{directory} was removed meanwhile")
        yield descriptor
    finally:
        os.close(descriptor)


async def _acquire(descriptor: int, directory: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"somebody else has been changing {directory} for {_PATIENCE_SECONDS:.0f} s"
                ) from None
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
