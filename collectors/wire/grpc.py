"""Calls a gRPC service on a unix socket: grpclib for the transport, its failures in our words."""

import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

import h2.exceptions
from google.protobuf.message import DecodeError, Message
from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from collectors.errors import Unavailable
from collectors.wire.failures import Refused, connect_error

_WINDOW = 16 << 20
"""Bytes that a server may send before they are read."""
_NONSENSE = (DecodeError, NotImplementedError, AssertionError, ValueError)
"""What grpclib raises of a message that is compressed, cut short, or none, and of odd headers."""


class Connection:
    """One connection; every call raises `Unavailable`, or `Refused` with gRPC's status."""

    def __init__(self, path: str, channel: Channel) -> None:
        """Take an open channel to the socket at a path."""
        self._path = path
        self._channel = channel

    async def call(
        self,
        method: str,
        request: Message,
        answer: type[Message],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Message:
        """Return the answer to a request."""
        call = UnaryUnaryMethod[Message, Message](self._channel, method, type(request), answer)
        with self._translated(method):
            return await call(request, metadata=dict(metadata or {}))

    async def stream(
        self,
        method: str,
        request: Message,
        answer: type[Message],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Message]:
        """Yield the answers to one request."""
        call = UnaryStreamMethod[Message, Message](self._channel, method, type(request), answer)
        with self._translated(method):
            async with call.open(metadata=dict(metadata or {})) as opened:
                await opened.send_message(request, end=True)
                async for message in opened:
                    yield message

    def fail(self, method: str, reason: str) -> NoReturn:
        """Raise `Unavailable`: the peer says what nobody can use."""
        raise Unavailable(self._path, method, reason)

    @contextmanager
    def _translated(self, method: str) -> Generator[None]:
        try:
            yield
        except GRPCError as error:
            message = f"{error.status.name}: {error.message}"
            raise Refused(self._path, method, message, status=error.status.value) from error
        except (StreamTerminatedError, ProtocolError, h2.exceptions.ProtocolError) as error:
            raise Unavailable(self._path, method, f"broke off: {error}") from error
        except _NONSENSE as error:
            raise Unavailable(self._path, method, f"sent what is no message: {error}") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Unavailable(self._path, method, reason) from error


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator[Connection]:
    """Connect to the socket at a path for as long as the block runs.

    Raises `Missing` where there is no socket, `Denied`, and `Unavailable` where nobody listens.
    """
    channel = Channel(
        path=path,
        config=Configuration(
            http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW
        ),
    )
    try:
        try:
            await channel.__connect__()
        except OSError as error:
            raise connect_error(path, error) from error
        yield Connection(path, channel)
    finally:
        channel.close()
