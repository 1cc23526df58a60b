"""A ttrpc client on asyncio streams.

There is no reader task: of the callers that wait, one reads and hands the others their answers,
so that a client needs no TaskGroup of its own and nothing runs when nobody asks.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from runtime import errors
from runtime.ttrpc.connection import Answer, Client

_CHUNK = 64 << 10


class TtrpcClient:
    """One connection to a server on a unix socket; calls may overlap."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._protocol = Client()
        self._answers: dict[int, Answer] = {}
        self._waiting: set[int] = set()
        self._turn = asyncio.Lock()
        self._failure: errors.RuntimeFailure | None = None

    @classmethod
    async def connect(cls, address: str, *, timeout_seconds: float = 5) -> Self:
        """Connect to `unix:///path` (or a bare path); nobody there raises `Unavailable`."""
        path = address.removeprefix("unix://")
        try:
            async with asyncio.timeout(timeout_seconds):
                reader, writer = await asyncio.open_unix_connection(path)
        except TimeoutError:
            raise errors.Unavailable(f"{path} did not accept within {timeout_seconds} s") from None
        except OSError as error:
            raise errors.Unavailable(f"cannot connect to {path}: {error.strerror}") from error
        return cls(reader, writer, path)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the server drops what it still had to answer."""
        self._writer.close()
        with contextlib.suppress(OSError):  # it may be gone already
            await self._writer.wait_closed()

    async def call(
        self, service: str, method: str, payload: bytes, *, timeout_seconds: float | None = None
    ) -> bytes:
        """Ask, and return the answer's payload.

        Raises the class of `runtime.errors` that the server's status stands for,
        `DeadlineExceeded` when the time has passed, `Unavailable` when the connection broke.
        """
        nano = 0 if timeout_seconds is None else int(timeout_seconds * 1e9)
        if self._failure is not None:
            raise self._failure
        stream = self._protocol.request(service, method, payload=payload, timeout_nano=nano)
        self._waiting.add(stream)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._send()
                answer = await self._receive(stream)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"{self._address} did not answer {method} within {timeout_seconds} s"
            ) from None
        finally:
            self._waiting.discard(stream)
            self._answers.pop(stream, None)
        return answer.result(self._address)

    async def _send(self) -> None:
        try:
            self._writer.write(self._protocol.outgoing())
            await self._writer.drain()
        except OSError as error:
            raise self._broken(str(error)) from error

    async def _receive(self, stream: int) -> Answer:
        """Wait for the turn to read, then read until the own answer is there."""
        while True:
            async with self._turn:
                if stream in self._answers:
                    return self._answers.pop(stream)
                if self._failure is not None:
                    raise self._failure
                await self._read()

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_CHUNK)
        except OSError as error:
            raise self._broken(str(error)) from error
        if not data:
            raise self._broken("it closed the connection")
        try:
            answers = self._protocol.receive(data)
        except errors.ProtocolError as error:
            raise self._broken(str(error)) from error
        for answer in answers:
            if answer.stream in self._waiting:
                self._answers[answer.stream] = answer

    def _broken(self, why: str) -> errors.RuntimeFailure:
        self._failure = errors.Unavailable(f"the connection to {self._address} broke: {why}")
        return self._failure
