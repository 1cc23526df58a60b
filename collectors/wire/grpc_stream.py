"""Takes what a gRPC service tells as it comes: a stream that is looked at now and then.

The stream is read when somebody asks for what has come, without waiting: between two readings the
bytes lie in the socket. So it needs no task of its own, and no event loop.
"""

import os
import socket
import struct
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from google.protobuf.message import DecodeError, Message

from collectors.errors import Unavailable
from collectors.wire.failures import Refused, connect_error

_WINDOW: Final = 16 << 20
"""Bytes that the server may send before it is read; an event has some hundred."""
_LARGEST: Final = 4 << 20
_CHUNK: Final = 16 << 10
_SECONDS: Final = 0.1
"""For so long at a time: what a flood leaves is taken the next time, and nobody waits for it."""
_ENDED = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)
_HEADERS = (h2.events.ResponseReceived, h2.events.TrailersReceived)


class MessageStream:
    """An open stream of messages; to be closed, and made anew after an `Unavailable`."""

    def __init__(self, path: str, method: str, kind: type[Message]) -> None:
        """Call a method with an empty request; raise `Missing`, `Denied` or `Unavailable`."""
        self._path = path
        self._method = method
        self._kind = kind
        self._rest = b""
        try:
            self._fd = _connect(path)
        except OSError as error:
            raise connect_error(path, error) from error
        # Whoever forgets to close it leaves no descriptor: this ends with the object.
        self._finish = weakref.finalize(self, os.close, self._fd)
        self._connection = _call(method)
        self._send()

    def close(self) -> None:
        """End the stream; once more does nothing."""
        self._finish()

    def messages(self) -> Sequence[Message]:
        """Return what came since the last call.

        Raises `Refused` when the server will not, and `Unavailable` when the stream broke off.
        """
        found: list[Message] = []
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            data = self._receive()
            if not data:
                break
            self._feed(data)
            found += self._whole()
        return found

    def _feed(self, data: bytes) -> None:
        try:
            for event in self._connection.receive_data(data):
                if isinstance(event, _HEADERS):
                    self._check(event.headers or ())
                if isinstance(event, _ENDED):
                    raise self._failure("the daemon ended the stream")
                if isinstance(event, h2.events.DataReceived):
                    self._rest += event.data
                    self._connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
        except (h2.exceptions.H2Error, ValueError) as error:
            raise self._failure(str(error)) from error
        self._send()

    def _check(self, headers: Sequence[tuple[str | bytes, str | bytes]]) -> None:
        """Raise `Refused` where the headers say how the call failed."""
        said = {_text(key): _text(value) for key, value in headers}
        status = said.get("grpc-status", "0")
        if status != "0":
            reason = said.get("grpc-message", "")[:200]
            number = int(status) if status.isascii() and status.isdigit() else 2
            raise Refused(self._path, self._method, f"status {status}: {reason}", status=number)

    def _receive(self) -> bytes:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._failure(str(error)) from error
        if not data:
            raise self._failure("the daemon closed the connection")
        return data

    def _send(self) -> None:
        # Some bytes at a time into a buffer of some hundred thousand: not to be waited for.
        data = self._connection.data_to_send()
        try:
            if data and os.write(self._fd, data) != len(data):
                raise self._failure("the daemon does not read")
        except OSError as error:
            raise self._failure(str(error)) from error

    def _whole(self) -> Iterator[Message]:
        """Yield whole messages: a zero (not compressed), four bytes of length, then so many."""
        while len(self._rest) >= 5:
            compressed, length = struct.unpack(">BI", self._rest[:5])
            if compressed or length > _LARGEST:
                raise self._failure(f"sent a message of {length} bytes, compressed: {compressed}")
            if len(self._rest) < 5 + length:
                return
            body, self._rest = self._rest[5 : 5 + length], self._rest[5 + length :]
            try:
                yield self._kind.FromString(body)
            except DecodeError as error:
                raise self._failure(f"sent no event: {error}") from error

    def _failure(self, reason: str) -> Unavailable:
        return Unavailable(self._path, self._method, reason)


def _text(said: str | bytes) -> str:
    return said if isinstance(said, str) else said.decode("utf-8", "replace")


def _connect(path: str) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.settimeout(0)
        connected.connect(path)
        return connected.detach()


def _call(method: str) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    )
    connection.initiate_connection()
    connection.increment_flow_control_window(_WINDOW)
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    connection.send_headers(1, headers)
    connection.increment_flow_control_window(_WINDOW, 1)
    # An empty request: nothing is left out of the answer.
    connection.send_data(1, struct.pack(">BI", 0, 0), end_stream=True)
    return connection
