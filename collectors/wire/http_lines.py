"""An answer over HTTP that never ends, a line at a time: looked at now and then, never waited for.

As with containerd's stream, the bytes lie in the socket between two readings: no task is needed.
"""

import os
import socket
import time
import weakref
from collections.abc import Sequence
from typing import Final

import h11

from collectors.errors import Unavailable
from collectors.wire.failures import connect_error

_CHUNK: Final = 16 << 10
_SECONDS: Final = 0.1
"""For so long at a time: what a flood leaves is taken the next time, and nobody waits for it."""
_LONGEST: Final = 1 << 20
_HEAD: Final = 64 << 10


class HttpLines:
    """An open answer; to be closed, and asked for anew after an `Unavailable`."""

    def __init__(self, path: str, target: str) -> None:
        """Ask the socket at a path; raise `Missing`, `Denied` or `Unavailable` as `connect` does."""
        self._path = path
        self._operation = f"GET {target}"
        self._rest = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
                connected.settimeout(0)
                connected.connect(path)
                self._fd = connected.detach()
        except OSError as error:
            raise connect_error(path, error) from error
        # Whoever forgets to close it leaves no descriptor: this ends with the object.
        self._finish = weakref.finalize(self, os.close, self._fd)
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._ask(target)

    def close(self) -> None:
        """End it; once more does nothing."""
        self._finish()

    def take(self) -> Sequence[bytes]:
        """Return the lines that came since the last call; raise `Unavailable` when it broke off."""
        found: list[bytes] = []
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                break
            except OSError as error:
                raise self._failure(error.strerror or str(error)) from error
            found += self._lines(data)
        return found

    def _ask(self, target: str) -> None:
        headers = [("Host", "localhost"), ("Accept", "application/json")]
        request = self._connection.send(h11.Request(method="GET", target=target, headers=headers))
        data = request + self._connection.send(h11.EndOfMessage())
        try:
            if os.write(self._fd, data) != len(data):
                raise self._failure("it does not read")
        except OSError as error:
            self.close()
            raise self._failure(error.strerror or str(error)) from error

    def _lines(self, data: bytes) -> list[bytes]:
        try:
            self._connection.receive_data(data)
            return list(self._events())
        except h11.ProtocolError as error:
            raise self._failure(f"does not speak HTTP as it should: {error}") from error

    def _events(self) -> Sequence[bytes]:
        found: list[bytes] = []
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                return found
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response) and event.status_code == 200:
                continue
            if isinstance(event, h11.Response):
                raise self._failure(f"status {event.status_code}")
            if not isinstance(event, h11.Data):
                raise self._failure("it ended the answer")
            self._rest += event.data
            if b"\n" in event.data:
                *lines, self._rest = self._rest.split(b"\n")
                found += map(bytes, lines)
            if len(self._rest) > _LONGEST:
                raise self._failure(f"sent a line of more than {_LONGEST} bytes")

    def _failure(self, reason: str) -> Unavailable:
        return Unavailable(self._path, self._operation, reason)
