"""Servers on a unix socket that know an engine's real answers, and say something else in their place.

The answers were recorded of Docker 20.10, Podman 4.3 and containerd 1.6 (`recorded/`): by an HTTP
target, or by a gRPC method as the message's bytes.
"""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

RECORDED: Final = Path(__file__).parent / "recorded"
HEADERS: Final = ((":status", "200"), ("content-type", "application/grpc"))
FRAME: Final = 16384
Lie = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes what stands in an answer's place; the connection ends when it returns."""


def recorded(engine: str) -> dict[str, Any]:
    """Return an engine's answers: JSON by the target's path, or bytes by the method."""
    answers: dict[str, Any] = json.loads((RECORDED / f"{engine}.json").read_text())
    if engine in {"containerd", "cri"}:
        return {method: base64.b64decode(text) for method, text in answers.items()}
    return answers


@asynccontextmanager
async def serving(
    path: str, handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[None]:
    """Serve connections until the end of the block, which ends those that still hang."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            # Cancelled it is only at the block's end, and asyncio tells of a task that ends so.
            with suppress(OSError, EOFError, h2.exceptions.H2Error, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.transport.abort()

    async with await asyncio.start_unix_server(serve, path):
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)


@asynccontextmanager
async def http(
    path: str, answers: Mapping[str, object], *, lies: Mapping[str, Lie | bytes] | None = None
) -> AsyncIterator[None]:
    """Serve HTTP: the answer of each target, or the lie about it; a lie of bytes is a body."""
    told = lies or {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split()[1].partition(b"?")[0].decode()
            lie = told.get(target, told.get("*"))
            if callable(lie):
                await lie(writer)
                return
            body = lie if lie is not None else _body(target, answers)
            status = b"200 OK" if target in answers else b"404 Not Found"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
            await writer.drain()

    async with serving(path, handle):
        yield


def _body(target: str, answers: Mapping[str, object]) -> bytes:
    answer = answers.get(target, {"message": "no such thing"})
    if target == "/events":
        assert isinstance(answer, list)
        return b"".join(json.dumps(line).encode() + b"\n" for line in answer)
    return json.dumps(answer).encode()


@asynccontextmanager
async def grpc(
    path: str, answers: Mapping[str, bytes], *, lies: Mapping[str, Lie] | None = None
) -> AsyncIterator[None]:
    """Serve gRPC: the answer of each method, or the lie about it, written beneath HTTP/2."""
    told = lies or {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        methods: dict[int, str] = {}
        while data := await reader.read(65536):
            for stream in _asked(connection, data, methods):
                lie = told.get(methods[stream], told.get("*"))
                if lie is not None:
                    writer.write(connection.data_to_send())
                    await lie(writer)
                    return
                _answer(connection, stream, answers.get(methods[stream]))
            writer.write(connection.data_to_send())
            await writer.drain()

    async with serving(path, handle):
        yield


def _asked(
    connection: h2.connection.H2Connection, data: bytes, methods: dict[int, str]
) -> Iterator[int]:
    """Yield the streams of requests that are whole by now; `methods` learns what each one asks."""
    for event in connection.receive_data(data):
        if isinstance(event, h2.events.RequestReceived):
            methods[event.stream_id] = dict(event.headers)[b":path"].decode()
        elif isinstance(event, h2.events.StreamEnded):
            yield event.stream_id


def _answer(connection: h2.connection.H2Connection, stream: int, body: bytes | None) -> None:
    connection.send_headers(stream, HEADERS)
    for at in range(0, len(body or b"") + 5, FRAME) if body is not None else ():
        message = struct.pack(">BI", 0, len(body or b"")) + (body or b"")
        connection.send_data(stream, message[at : at + FRAME])
    status = "0" if body is not None else "12"
    connection.send_headers(stream, (("grpc-status", status),), end_stream=True)


def saying(*pieces: bytes, hang: bool = True) -> Lie:
    """Return a lie that writes some bytes, then nothing more for ever, or the end."""

    async def lie(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(pieces))
        await writer.drain()
        if hang:
            await asyncio.Event().wait()

    return lie


def endless(head: bytes, piece: bytes) -> Lie:
    """Return a lie that writes some bytes, and then others again and again."""

    async def lie(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        many = piece * max(1, 65536 // len(piece))
        while True:
            writer.write(many)
            await writer.drain()

    return lie


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2 (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
