"""Calls a gRPC service on a unix socket: grpclib for the transport, its failures in our words."""

import os
from asyncio import BaseTransport
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, NoReturn, TypeVar

import h2.exceptions
from google.protobuf.message import DecodeError, Message
from grpclib.client import Channel, Handler, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.protocol import H2Protocol

from collectors.errors import Unavailable
from collectors.wire import peers
from collectors.wire.failures import Refused, connect_error

_WINDOW = 16 << 20
"""Bytes that a server may send before they are read."""
_ANSWER_MAX: Final = 32 << 20
"""Bytes of one call's answer; containerd itself sends 16 MiB at most."""
_TURN: Final = 4 << 10
"""Bytes that are taken in before others' turn comes: pings without end are work without a pause."""
_LISTED_MAX: Final = 50_000
_REASON_MAX: Final = 500
T = TypeVar("T")
_NONSENSE = (DecodeError, NotImplementedError, AssertionError, ValueError)
"""What grpclib raises of a message that is compressed, cut short, or none, and of odd headers."""


class Connection:
    """One connection; every call raises `Unavailable`, or `Refused` with gRPC's status."""

    def __init__(self, path: str, channel: Channel, *, peer_uid: int) -> None:
        """Take an open channel to the socket at a path, and who listens there."""
        self.peer_uid = peer_uid
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

    def few(self, method: str, listed: Sequence[T]) -> Sequence[T]:
        """Return what a method lists; raise `Unavailable` for more than a host can have."""
        if len(listed) > _LISTED_MAX:
            self.fail(method, f"listed more than {_LISTED_MAX}: {len(listed)}")
        return listed

    def fail(self, method: str, reason: str) -> NoReturn:
        """Raise `Unavailable`: the peer says what nobody can use."""
        raise Unavailable(self._path, method, reason)

    @contextmanager
    def _translated(self, method: str) -> Generator[None]:
        try:
            yield
        except GRPCError as error:
            message = f"{error.status.name}: {(error.message or '')[:_REASON_MAX]}"
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
    channel = _Channel(
        path=path,
        config=Configuration(
            http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW
        ),
    )
    try:
        try:
            protocol = await channel.__connect__()
        except OSError as error:
            raise connect_error(path, error) from error
        peer_uid = protocol.peer_uid if isinstance(protocol, _Protocol) else 0
        yield Connection(path, channel, peer_uid=peer_uid)
    finally:
        channel.close()


class _Channel(Channel):
    """Takes no more of a server than fits, and never much at a time."""

    def _protocol_factory(self) -> H2Protocol:
        return _Protocol(Handler(), self._config, self._h2_config)


class _Protocol(H2Protocol):
    def connection_made(self, transport: BaseTransport) -> None:
        # What asyncio's transports read at a time; one that has another way ignores it.
        setattr(transport, "max_size", _TURN)  # noqa: B010 - of one class of transports
        super().connection_made(transport)
        self.peer_uid = peers.uid_of(transport)
        taken = Counter[int]()
        acknowledge = self.connection.ack

        def ack(stream_id: int, size: int) -> None:
            taken[stream_id] += size
            if taken[stream_id] > _ANSWER_MAX:
                raise ValueError(f"more than {_ANSWER_MAX >> 20} MiB")
            acknowledge(stream_id, size)

        setattr(self.connection, "ack", ack)  # noqa: B010 - each stream calls it as it is read
