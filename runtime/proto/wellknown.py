"""Google's well-known messages that the shim contract uses, and ttrpc's own envelope."""

from __future__ import annotations

from runtime.proto.codec import BYTES, INT32, INT64, STRING, Message, Repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.proto.codec import Fields


class Empty(Message):
    """`google.protobuf.Empty`."""


class Any(Message):
    """`google.protobuf.Any`: a message's name and its bytes."""

    FIELDS: Fields = ((1, "type_url", STRING), (2, "value", BYTES))
    type_url: str = ""
    value: bytes = b""


class Timestamp(Message):
    """`google.protobuf.Timestamp`: seconds and nanoseconds since 1970, UTC."""

    FIELDS: Fields = ((1, "seconds", INT64), (2, "nanos", INT32))
    seconds: int = 0
    nanos: int = 0

    @classmethod
    def of(cls, nanoseconds: int) -> Timestamp:
        """Make one from nanoseconds since 1970; 0 is "not yet" and makes an empty one."""
        return cls(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since 1970."""
        return self.seconds * 10**9 + self.nanos


class Status(Message):
    """`google.rpc.Status`: how a request failed."""

    FIELDS: Fields = ((1, "code", INT32), (2, "message", STRING), (3, "details", Repeated(Any)))
    code: int = 0
    message: str = ""
    details: Sequence[Any] = ()


class KeyValue(Message):
    """One key of a ttrpc request's metadata."""

    FIELDS: Fields = ((1, "key", STRING), (2, "value", STRING))
    key: str = ""
    value: str = ""


class Request(Message):
    """`ttrpc.Request`; `timeout_nano` 0 is no deadline."""

    FIELDS: Fields = (
        (1, "service", STRING),
        (2, "method", STRING),
        (3, "payload", BYTES),
        (4, "timeout_nano", INT64),
        (5, "metadata", Repeated(KeyValue)),
    )
    service: str = ""
    method: str = ""
    payload: bytes = b""
    timeout_nano: int = 0
    metadata: Sequence[KeyValue] = ()


class Response(Message):
    """`ttrpc.Response`; there is no status on success."""

    FIELDS: Fields = ((1, "status", Status), (2, "payload", BYTES))
    status: Status | None = None
    payload: bytes = b""
