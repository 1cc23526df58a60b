"""Speaks HTTP/1.1 on an open connection: h11 for the protocol, asyncio for the bytes."""

import asyncio
import os
from typing import Any, BinaryIO, NoReturn, TypeVar

import h11
import msgspec

from collectors.decoding import decode
from collectors.errors import Unavailable
from collectors.wire.failures import Refused

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]
"""Names in small letters, and values."""

_BODY_MAX = 64 << 20
"""Bytes; ten thousand containers are about half of it."""
_HEAD_MAX = 64 << 10
_CHUNK = 64 << 10
_PIECE = 1 << 20
_PIECES = 64
"""Pieces of an answer after which others' turn comes: tiny ones without end are work without a pause."""
_VALUES_MAX = 2 << 20
"""Values in an answer, by its commas: of ten thousand containers there are half as many at most, and
each can be 30 times what it takes in JSON."""
_REASON_MAX = 500


class Http:
    """One connection, used again for as long as the server keeps it."""

    def __init__(
        self,
        path: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        peer_uid: int = 0,
    ) -> None:
        """Take an open connection to the socket at a path, and who listens there."""
        self.peer_uid = peer_uid
        self._path = path
        self._reader = reader
        self._writer = writer
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
        self._pieces = 0

    async def get(self, target: str, kind: type[T]) -> T:
        """Return the JSON answer to a GET as a type; raise as `get_bytes` does."""
        return self._decode(target, await self.get_bytes(target), kind)

    async def get_list(self, target: str, kind: type[T]) -> list[T]:
        """Return the JSON list that answers a GET; some engines write an empty one as `null`."""
        body = await self.get_bytes(target)
        return [] if body.strip() == b"null" else self._decode(target, body, list[kind])  # type: ignore[valid-type]  # mypy takes a variable for no type, but this is a value

    async def get_bytes(self, target: str) -> bytes:
        """Return the body of the answer to a GET.

        Raises `Refused` on an error status, and `Unavailable` when the peer closes early, does not
        speak HTTP, or says more than 64 MiB. There is no deadline in here: the caller has one.
        """
        try:
            return await self._exchange(target)
        except h11.ProtocolError as error:
            self._fail(target, f"does not speak HTTP as it should: {error}", error)
        except OSError as error:
            self._fail(target, os.strerror(error.errno) if error.errno else str(error), error)

    async def send(self, method: str, target: str, content: bytes = b"") -> bytes:
        """Send a request of another method, with JSON or none; answer and raise as `get_bytes`."""
        try:
            return await self._exchange(target, method=method, content=content)
        except (h11.ProtocolError, OSError) as error:
            raise Unavailable(self._path, f"{method} {target}", str(error)) from error

    async def head(self, target: str, name: str) -> str:
        """Return a header of the answer to a HEAD, empty where it is absent; raise as `get_bytes`."""
        request = h11.Request(method="HEAD", target=target, headers=[("Host", "localhost")])
        try:
            await self._write(request)
            await self._write(h11.EndOfMessage())
            headers, _ = await self._answer(target, "HEAD")
        except (h11.ProtocolError, OSError) as error:
            raise Unavailable(self._path, f"HEAD {target}", str(error)) from error
        return next((value.decode() for key, value in headers if key == name.encode().lower()), "")

    async def upload(self, target: str, content: BinaryIO) -> None:
        """PUT a file's bytes from where it stands, a piece at a time; raise as `get_bytes`."""
        headers = [("Host", "localhost"), ("Content-Type", "application/x-tar")]
        headers.append(("Transfer-Encoding", "chunked"))
        request = h11.Request(method="PUT", target=target, headers=headers)
        # It may refuse before it has all, and read no further: its word is listened for meanwhile.
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(self._refusal(target))
            await self._put(request, content, answer)
        refusal = answer.result()
        if refusal is not None:
            raise refusal

    async def _put(
        self, request: h11.Request, content: BinaryIO, answer: asyncio.Task[Any]
    ) -> None:
        try:
            await self._write(request)
            while piece := await asyncio.to_thread(content.read, _PIECE):
                if answer.done():
                    return
                await self._write(h11.Data(piece))
            await self._write(h11.EndOfMessage())
        except ConnectionError:
            pass  # the answer, or its absence, tells
        except (h11.ProtocolError, OSError):
            self.close()

    async def _refusal(self, target: str) -> Unavailable | None:
        """Wait for the answer to a PUT; return what is wrong with it, to be raised."""
        try:
            await self._answer(target, "PUT")
        except Unavailable as error:
            return error
        except (h11.ProtocolError, OSError) as error:
            return Unavailable(self._path, f"PUT {target}", str(error))
        return None

    async def _write(self, event: h11.Event) -> None:
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        self._writer.write(self._connection.send(event) or b"")
        await self._writer.drain()

    def close(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    def _decode(self, target: str, body: bytes, kind: type[T]) -> T:
        if body.count(b",") > _VALUES_MAX:
            self._fail(target, f"answered more than {_VALUES_MAX} values")
        try:
            return decode(body, kind)
        except msgspec.DecodeError as error:
            self._fail(target, f"answered what is not expected: {error}", error)

    async def _exchange(self, target: str, *, method: str = "GET", content: bytes = b"") -> bytes:
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        headers = [("Host", "localhost"), ("Accept", "application/json")]
        if method != "GET":
            headers.append(("Content-Length", str(len(content))))
        if content:
            headers.append(("Content-Type", "application/json"))
        request = h11.Request(method=method, target=target, headers=headers)
        self._writer.write(self._connection.send(request))
        if content:
            self._writer.write(self._connection.send(h11.Data(content)))
        self._writer.write(self._connection.send(h11.EndOfMessage()))
        await self._writer.drain()
        return (await self._answer(target, method))[1]

    async def _answer(self, target: str, method: str) -> tuple[Headers, bytes]:
        response = await self._event(target)
        while isinstance(response, h11.InformationalResponse):
            response = await self._event(target)
        if not isinstance(response, h11.Response):
            self._fail(target, "closed the connection without an answer")
        body = await self._body(target)
        if response.status_code >= 400:
            raise Refused(
                self._path,
                f"{method} {target}",
                f"status {response.status_code}: {_reason(body)}",
                status=response.status_code,
            )
        return list(response.headers), body

    async def _body(self, target: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            event = await self._event(target)
            if isinstance(event, h11.EndOfMessage):
                return b"".join(chunks)
            if not isinstance(event, h11.Data):
                self._fail(target, "closed the connection within an answer")
            size += len(event.data)
            if size > _BODY_MAX:
                self._fail(target, f"answered more than {_BODY_MAX >> 20} MiB")
            chunks.append(bytes(event.data))

    async def _event(self, target: str) -> h11.Event:
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Event):
                self._pieces += 1
                if self._pieces % _PIECES == 0:
                    await asyncio.sleep(0)
                return event
            if event is h11.PAUSED:
                self._fail(target, "switched protocols unasked")
            self._connection.receive_data(await self._reader.read(_CHUNK))

    def _fail(self, target: str, message: str, cause: Exception | None = None) -> NoReturn:
        raise Unavailable(self._path, f"GET {target}", message) from cause


def _reason(body: bytes) -> str:
    """Return what an error's body says: engines put it in `message`."""
    try:
        return decode(body, _Error).message[:_REASON_MAX]
    except msgspec.DecodeError:
        return body[:_REASON_MAX].decode("utf-8", "replace").strip()


class _Error(msgspec.Struct):
    message: str
