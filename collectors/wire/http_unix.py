"""Opens HTTP connections to engines over their unix sockets."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from collectors.wire import peers
from collectors.wire.failures import connect_error

if TYPE_CHECKING:
    from collectors.wire.http import Http

_PARSER = "collectors.wire.http"


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator["Http"]:
    """Connect to the socket at a path for as long as the block runs.

    Raises `Missing` where there is no socket, `Denied`, and `Unavailable` where nobody listens.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise connect_error(path, error) from error
    # Loaded only once somebody listens, and in a thread: on a host without an engine nothing needs a
    # parser, and where there is one the loop does not wait for the disk.
    if _PARSER not in sys.modules:
        await asyncio.to_thread(import_module, _PARSER)
    from collectors.wire.http import Http  # noqa: PLC0415 - only where a socket is

    http = Http(path, reader, writer, peer_uid=peers.uid_of(writer.transport))
    try:
        yield http
    finally:
        http.close()
