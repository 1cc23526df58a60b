"""Opens HTTP connections to engines over their unix sockets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from collectors.wire.failures import connect_error

if TYPE_CHECKING:
    from collectors.wire.http import Http


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator["Http"]:
    """Connect to the socket at a path for as long as the block runs.

    Raises `Missing` where there is no socket, `Denied`, and `Unavailable` where nobody listens.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise connect_error(path, error) from error
    # Loaded only once somebody listens: on a host without an engine nothing needs a parser.
    from collectors.wire.http import Http  # noqa: PLC0415

    http = Http(path, reader, writer)
    try:
        yield http
    finally:
        http.close()
