"""Forwards events to containerd over ttrpc: one ordered queue, one event in flight."""

from __future__ import annotations

import socket
from collections import deque

from runtime.errors import RuntimeFailure
from runtime.proto.events import ForwardRequest
from runtime.shim.loop import READ
from runtime.shim.saying import say
from runtime.ttrpc.connection import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.proto.events import Envelope
    from runtime.shim.loop import Loop, Timer

SERVICE = "containerd.services.events.ttrpc.v1.Events"
_DEADLINE_SECONDS = 5
_ATTEMPTS = 5
_QUEUE = 2048


class Forwarder:
    """Sends envelopes to `address` (a path); one that fails five times is dropped and logged."""

    def __init__(self, loop: Loop, address: str, *, namespace: str) -> None:
        self._loop = loop
        self._address = address
        self._metadata = {"containerd-namespace-ttrpc": namespace}
        self._queue: deque[Envelope] = deque(maxlen=_QUEUE)
        self._attempt = 0
        self._socket: socket.socket | None = None
        self._client = Client()
        self._stream = 0
        self._timer: Timer | None = None
        self._idle: list[Callable[[], None]] = []

    def send(self, envelope: Envelope) -> None:
        """Queue an envelope; the oldest is lost when 2048 wait."""
        self._queue.append(envelope)
        if self._timer is None:
            self._begin()

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call when nothing waits any more."""
        if self._queue:
            self._idle.append(callback)
        else:
            callback()

    def rest(self) -> bool:
        """Leave containerd until there is an event again; False if one is on its way."""
        if self._queue or self._timer is not None:
            return False
        self._disconnect()
        return True

    def _begin(self) -> None:
        """Send the head of the queue."""
        self._timer = None
        if not self._queue:
            idle, self._idle = self._idle, []
            for callback in idle:
                callback()
            return
        payload = ForwardRequest(envelope=self._queue[0]).encode()
        self._timer = self._loop.later(_DEADLINE_SECONDS, lambda: self._failed("no answer in time"))
        try:
            connection = self._connected()
            self._stream = self._client.request(
                SERVICE, "Forward", payload=payload, metadata=self._metadata
            )
            connection.sendall(self._client.outgoing())
        except (OSError, RuntimeFailure) as error:
            self._failed(str(error))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(1)  # containerd reads all the time; one that does not is broken
            try:
                connection.connect(self._address)
            except OSError:
                connection.close()
                raise
            self._socket, self._client = connection, Client()
            self._loop.watch(connection.fileno(), READ, self._readable)
        return self._socket

    def _readable(self, _events: int) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(65536)
            answers = self._client.receive(data)
        except (OSError, RuntimeFailure) as error:
            self._failed(str(error))
            return
        for answer in answers:
            if answer.stream == self._stream and self._queue:
                if answer.code:
                    self._failed(answer.message)
                    return
                self._next()
        if not data:
            self._closed()

    def _closed(self) -> None:
        self._disconnect()
        if self._queue:
            self._failed("containerd closed the connection")

    def _next(self) -> None:
        self._queue.popleft()
        self._attempt = 0
        if self._timer is not None:
            self._timer.cancel()
        self._begin()

    def _failed(self, why: str) -> None:
        """Try the same event again after 1, 2, 3, … s on a new connection, then drop it."""
        if self._timer is not None:
            self._timer.cancel()
        self._disconnect()
        self._attempt += 1
        if self._attempt >= _ATTEMPTS and self._queue:
            topic = self._queue.popleft().topic
            say(f"dropped event {topic}: {why}")
            self._attempt = 0
        self._timer = self._loop.later(max(self._attempt, 1), self._begin)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
