"""Both roles of a ttrpc connection without IO: bytes in, calls and answers out.

Whoever owns the socket feeds `receive` and sends what `outgoing` returns.
"""

from __future__ import annotations

from runtime import errors
from runtime.proto.wellknown import Any as AnyMessage
from runtime.proto.wellknown import KeyValue, Request, Response, Status
from runtime.ttrpc import codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DETAIL = "cinspect.error/"


class Call:
    """A request that awaits its answer."""

    __slots__ = ("method", "payload", "service", "stream", "timeout_nano")

    def __init__(self, stream: int, request: Request) -> None:
        self.stream = stream
        self.service = request.service
        self.method = request.method
        self.payload = request.payload
        self.timeout_nano = request.timeout_nano


class Answer:
    """How a request ended: `code` 0 is success."""

    __slots__ = ("code", "kind", "message", "payload", "stream")

    def __init__(
        self,
        stream: int,
        *,
        payload: bytes = b"",
        code: int = 0,
        message: str = "",
        kind: str = "",
    ) -> None:
        self.stream = stream
        self.payload = payload
        self.code = code
        self.message = message
        self.kind = kind

    def result(self, peer: str) -> bytes:
        """Return the payload, or raise the class of error that the code stands for."""
        if self.code:
            kind = _class(self.code, self.kind)
            raise kind(self.message or f"{peer} answered with code {self.code}")
        return self.payload


class Server:
    """The side that answers: unary calls only, which is all that the Task service has."""

    def __init__(self, *, last: int = 0, streams: Iterable[int] = ()) -> None:
        """One that goes on for another has had the stream `last`, and `streams` await answers."""
        self._decoder = codec.Decoder()
        self.last = last
        """The highest stream id that was used."""
        self._open: set[int] = set(streams)
        self._out = bytearray()

    @property
    def streams(self) -> frozenset[int]:
        """The calls that await an answer, by the ids of their streams."""
        return frozenset(self._open)

    @property
    def between_frames(self) -> bool:
        """Whether all that came was whole messages, and all that is to be sent was taken."""
        return self._decoder.empty and not self._out

    @property
    def pending(self) -> int:
        """How many calls await an answer."""
        return len(self._open)

    def receive(self, data: bytes) -> list[Call]:
        """Take bytes; return the calls they complete. What is wrong with one is answered here."""
        calls: list[Call] = []
        for frame in self._decoder.feed(data):
            if isinstance(frame, codec.Oversized):
                self._reject(
                    frame.stream,
                    errors.ResourceExhausted(f"a message of {frame.length} bytes is too long"),
                )
            elif frame.kind == codec.REQUEST:
                call = self._accept(frame)
                if call is not None:
                    calls.append(call)
            # data and unknown kinds belong to streams that were refused: ignored, as the protocol says
        return calls

    def _accept(self, frame: codec.Frame) -> Call | None:
        if frame.stream % 2 == 0 or frame.stream <= self.last:
            self._reject(
                frame.stream,
                errors.InvalidArgument(f"stream id {frame.stream} is even or was used"),
            )
            return None
        self.last = frame.stream
        try:
            request = Request.decode(frame.payload)
        except errors.FormatError as error:
            self._reject(frame.stream, errors.InvalidArgument(f"not a request: {error}"))
            return None
        if frame.flags & codec.REMOTE_OPEN:
            self._reject(frame.stream, errors.Unimplemented(f"{request.method} takes no stream"))
            return None
        self._open.add(frame.stream)
        return Call(frame.stream, request)

    def _reject(self, stream: int, error: errors.RuntimeFailure) -> None:
        status = Status(code=error.code, message=str(error))
        if type(error) is not errors.BY_CODE.get(error.code):
            # a narrower class than the code tells: 127 and 126 of a shell are two of them
            status.details = [AnyMessage(type_url=_DETAIL + type(error).__name__)]
        self._out += codec.encode(stream, codec.RESPONSE, Response(status=status).encode())

    def respond(self, stream: int, payload: bytes) -> None:
        """Answer a call; an answer that is too long becomes a failure of this call alone."""
        if stream not in self._open:
            return
        self._open.discard(stream)
        try:
            self._out += codec.encode(stream, codec.RESPONSE, Response(payload=payload).encode())
        except errors.ResourceExhausted as error:
            self._reject(stream, error)

    def fail(self, stream: int, error: errors.RuntimeFailure) -> None:
        """Answer a call with an error's code and text."""
        if stream in self._open:
            self._open.discard(stream)
            self._reject(stream, error)

    def outgoing(self) -> bytes:
        """Return what is to be sent, and forget it."""
        data = bytes(self._out)
        self._out.clear()
        return data


class Client:
    """The side that asks: stream ids are odd and rise."""

    def __init__(self) -> None:
        self._decoder = codec.Decoder()
        self._next = 1
        self._out = bytearray()

    def request(
        self,
        service: str,
        method: str,
        *,
        payload: bytes,
        timeout_nano: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Queue a call; return its stream id."""
        pairs = [KeyValue(key=key, value=value) for key, value in (metadata or {}).items()]
        request = Request(
            service=service,
            method=method,
            payload=payload,
            timeout_nano=timeout_nano,
            metadata=pairs,
        )
        stream = self._next
        if stream > 0xFFFFFFFF:
            raise errors.ResourceExhausted("the connection has no stream ids left")
        self._out += codec.encode(stream, codec.REQUEST, request.encode())
        self._next += 2
        return stream

    def receive(self, data: bytes) -> list[Answer]:
        """Take bytes; return the answers they complete. Damage raises `ProtocolError`."""
        answers: list[Answer] = []
        for frame in self._decoder.feed(data):
            if isinstance(frame, codec.Oversized):
                text = f"the answer has {frame.length} bytes, over {codec.MAX_PAYLOAD}"
                answers.append(
                    Answer(frame.stream, code=errors.ResourceExhausted.code, message=text)
                )
            elif frame.kind == codec.RESPONSE:
                answers.append(_answer(frame))
        return answers

    def outgoing(self) -> bytes:
        """Return what is to be sent, and forget it."""
        data = bytes(self._out)
        self._out.clear()
        return data


def _answer(frame: codec.Frame) -> Answer:
    try:
        response = Response.decode(frame.payload)
    except errors.FormatError as error:
        raise errors.ProtocolError(f"not a response: {error}") from error
    status = response.status
    if status is None:
        return Answer(frame.stream, payload=response.payload)
    kind = status.details[0].type_url.removeprefix(_DETAIL) if status.details else ""
    return Answer(frame.stream, code=status.code, message=status.message, kind=kind)


def _class(code: int, name: str) -> type[errors.RuntimeFailure]:
    """Return the class that a code stands for, or the narrower one that a peer of ours named."""
    general = errors.BY_CODE.get(code, errors.RuntimeFailure)
    named = [kind for kind in general.__subclasses__() if kind.__name__ == name]
    return named[0] if named else general
