"""Hears of every process that begins and ends, by the proc connector (netlink, CN_PROC).

The kernel tells only whom is in the first user and pid namespaces, and before Linux 6.6 only who
has CAP_NET_ADMIN. What it tells is filed by processor, each event with the next number: a number
that is left out is an event that was lost.
"""

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from typing import Final

from collectors.errors import CollectError, Denied, Missing, Unsupported
from collectors.formats import proc_event
from collectors.formats.proc_event import Told
from runtime.errors import FormatError

PATH: Final = "netlink/connector"
_CONNECTOR: Final = 11
"""NETLINK_CONNECTOR."""
_BUFFER_FORCE: Final = 33
"""SO_RCVBUFFORCE: beyond what net.core.rmem_max lets others have."""
_BUFFER: Final = 8 << 20
"""Bytes; the kernel counts about 800 for an event, so these are ten thousand."""
_LARGEST: Final = 65536
_AT_ONCE: Final = 4096
"""Datagrams taken in one go."""
_SEQUENCES: Final = 1 << 32
_GAP: Final = 1 << 20
"""A larger step is no gap but a counter that began anew."""
_DENIED: Final = frozenset({errno.EPERM, errno.EACCES})


class Connector:
    """An open socket; to be closed."""

    def __init__(self) -> None:
        """Listen; raise `Missing`, `Denied` or `Unsupported` where that cannot be."""
        self._next: dict[int, int] = {}
        self._lost = 0
        self._socket = _opened()
        try:
            self._listen()
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening; once more does nothing."""
        self._socket.close()

    def take(self) -> Iterator[Told]:
        """Yield what came since, without waiting: events of processes, not of their other threads."""
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # The buffer was full. How many are lost the next numbers tell; at least this one.
                self._lost = max(self._lost, 1)
                continue
            with contextlib.suppress(FormatError):
                yield from self._counted(data)

    def lost(self) -> int:
        """Return how many events were lost since this was last asked."""
        lost, self._lost = self._lost, 0
        return lost

    def _counted(self, data: bytes) -> Iterator[Told]:
        for told in proc_event.parse(data):
            if told.kind == "acknowledged":
                continue  # it has no number
            expected = self._next.get(told.cpu)
            self._next[told.cpu] = (told.sequence + 1) % _SEQUENCES
            if expected is not None:
                gap = (told.sequence - expected) % _SEQUENCES
                self._lost += gap if gap < _GAP else 1
            if told.kind != "other" and (told.pid == told.thread or told.kind == "coredump"):
                yield told

    def _listen(self) -> None:
        try:
            self._socket.send(proc_event.listen())
        except OSError as error:
            # Of a network namespace that is not the first there is no connector at all.
            raise _translated(error, "send") from error
        # The kernel answers within the call, or never: before 6.6, whom it will not tell.
        try:
            answers = list(proc_event.parse(self._socket.recv(_LARGEST)))
        except BlockingIOError:
            message = "the kernel does not answer: it tells only the first user and pid namespaces"
            raise Denied(PATH, "listen", message) from None
        except (OSError, FormatError) as error:
            raise Unsupported(PATH, "listen", str(error)) from error
        refused = next((one.pid for one in answers if one.kind == "acknowledged"), 0)
        if refused:
            raise _translated(OSError(refused, os.strerror(refused)), "listen")


def wall_clock(nanoseconds: int) -> float:
    """Return seconds since 1970 for a moment of the monotonic clock."""
    return time.time() - (time.monotonic_ns() - nanoseconds) / 1e9


def _opened() -> socket.socket:
    try:
        opened = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _CONNECTOR
        )
    except OSError as error:
        raise _translated(error, "socket") from error
    try:
        try:
            opened.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, _BUFFER)
        except OSError:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        opened.bind((0, proc_event.IDX))
    except OSError as error:
        opened.close()
        raise _translated(error, "bind") from error
    return opened


def _translated(error: OSError, operation: str) -> CollectError:
    message = error.strerror or str(error)
    if error.errno in _DENIED:
        return Denied(PATH, operation, f"{message}: births of processes need CAP_NET_ADMIN")
    if error.errno in {errno.EPROTONOSUPPORT, errno.ECONNREFUSED, errno.ENOENT}:
        return Missing(PATH, operation, f"{message}: this kernel or namespace has no connector")
    return Unsupported(PATH, operation, message)
