"""Moves bytes between a client's descriptors and a container's FIFOs, exactly and with back-pressure."""

import asyncio
import os
import select
import time
from typing import Final

from inspector.cli.engine.terminal import DetachFilter

_CHUNK: Final = 1 << 16
_LAST_WORDS_SECONDS: Final = 2.0
"""How long a pipe may stay silent once its process has ended, when somebody else holds it open."""
_POLL_SECONDS: Final = 0.02


class Output:
    """Copies a FIFO that a shim writes to a descriptor of ours, until the shim closes it."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        self._opened = False

    def process_ended(self) -> None:
        """Tell that nothing new will be written: what is in the pipe is copied, then it is over."""
        self._ended = True
        _resolve(self._waiting)

    async def copy(self) -> None:
        """Copy; raise `BrokenPipeError` when our reader is gone."""
        silent_since = time.monotonic()
        while True:
            chunk = _read(self._source)
            if chunk:
                # A thread waits for a slow reader; meanwhile nothing more is read: back-pressure.
                await asyncio.to_thread(write_all, self._sink, chunk)
                silent_since = time.monotonic()
                continue
            ended = self._ended
            # Before the shim has opened it, a FIFO reads as if it were at its end.
            if chunk is not None and (self._opened or ended):
                return
            if ended and time.monotonic() - silent_since > _LAST_WORDS_SECONDS:
                return
            if not ended:
                silent_since = time.monotonic()
            await self._wait(ended=ended)

    async def _wait(self, *, ended: bool) -> None:
        if ended:
            await asyncio.sleep(_POLL_SECONDS)
            return
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        loop.add_reader(self._source, self._readable)
        try:
            await self._waiting
        finally:
            loop.remove_reader(self._source)

    def _readable(self) -> None:
        self._opened = True
        _resolve(self._waiting)


async def copy_input(source: int, sink: int, keys: DetachFilter | None = None) -> None:
    """Copy a descriptor of ours to a FIFO until its end, or until the detach keys were typed."""
    while chunk := await _read_ready(source):
        await _write_ready(sink, chunk if keys is None else keys.feed(chunk))
        if keys is not None and keys.detached:
            return


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, waiting as long as it takes, even if somebody made it non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def _read(descriptor: int) -> bytes | None:
    """Return what is there; None when nothing is, empty at the end."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None


async def _read_ready(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        ready = loop.create_future()
        try:
            loop.add_reader(descriptor, _resolve, ready)
        except PermissionError:
            # epoll(7) has no regular files and no /dev/null: a read of them never waits.
            return await asyncio.to_thread(os.read, descriptor, _CHUNK)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue
        except OSError:
            return b""  # EIO: the terminal hung up


async def _write_ready(descriptor: int, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            ready = loop.create_future()
            loop.add_writer(descriptor, _resolve, ready)
            try:
                await ready
            finally:
                loop.remove_writer(descriptor)


def _resolve(ready: "asyncio.Future[None] | None") -> None:
    if ready is not None and not ready.done():
        ready.set_result(None)
