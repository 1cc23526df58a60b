"""Takes containerd's events as they come: a stream that is looked at now and then.

The stream is read when somebody asks for what has come, without waiting: between two readings the
bytes lie in the socket. So it needs no task of its own, and no event loop.
"""

import os
import socket
import struct
import weakref
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from google.protobuf.message import DecodeError

from collectors.errors import Unavailable
from collectors.wire.containerd.messages import Any, Timestamp, message
from collectors.wire.failures import connect_error

_METHOD = "/containerd.services.events.v1.Events/Subscribe"
_WINDOW = 16 << 20
"""Bytes that the daemon may send before it is read; an event has some hundred."""
_LARGEST = 4 << 20
_CHUNK = 256 << 10
_READS = 64
"""Chunks at a time: what a flood leaves is taken the next time."""
_ENDED = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)


class Envelope(Protocol):
    """One event with its wrapping."""

    timestamp: Timestamp
    namespace: str
    topic: str
    event: Any


class Subscription:
    """An open stream of events; to be closed, and made anew after an `Unavailable`."""

    def __init__(self, path: str) -> None:
        """Subscribe to every event; raise `Missing`, `Denied` or `Unavailable` as `connect` does."""
        self._path = path
        self._rest = b""
        try:
            self._fd = _connect(path)
        except OSError as error:
            raise connect_error(path, error) from error
        # Whoever forgets to close it leaves no descriptor: this ends with the object.
        self._finish = weakref.finalize(self, os.close, self._fd)
        self._connection = _subscribe()
        self._send()

    def close(self) -> None:
        """End the stream; once more does nothing."""
        self._finish()

    def take(self) -> Sequence[Envelope]:
        """Return the events that came since the last call; raise `Unavailable` when it broke off."""
        found: list[Envelope] = []
        for _ in range(_READS):
            data = self._receive()
            if not data:
                break
            self._feed(data)
            found += self._messages()
        return found

    def _feed(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
            for event in events:
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

    def _messages(self) -> Iterator[Envelope]:
        """Yield whole messages: a zero (not compressed), four bytes of length, then so many."""
        while len(self._rest) >= 5:
            compressed, length = struct.unpack(">BI", self._rest[:5])
            if compressed or length > _LARGEST:
                raise self._failure(f"sent a message of {length} bytes, compressed: {compressed}")
            if len(self._rest) < 5 + length:
                return
            body, self._rest = self._rest[5 : 5 + length], self._rest[5 + length :]
            try:
                envelope = message("containerd.events.Envelope").FromString(body)
            except DecodeError as error:
                raise self._failure(f"sent no event: {error}") from error
            yield cast("Envelope", envelope)

    def _failure(self, reason: str) -> Unavailable:
        return Unavailable(self._path, _METHOD, reason)


def _connect(path: str) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        connected.settimeout(0)
        connected.connect(path)
        return connected.detach()


def _subscribe() -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    )
    connection.initiate_connection()
    connection.increment_flow_control_window(_WINDOW)
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", _METHOD),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    connection.send_headers(1, headers)
    connection.increment_flow_control_window(_WINDOW, 1)
    # An empty request: no filter, all namespaces.
    connection.send_data(1, struct.pack(">BI", 0, 0), end_stream=True)
    return connection
