"""Publishes a shim's events in order: to the engine's journal, or to the containerd that it serves."""

from __future__ import annotations

import time

from runtime.events import journal
from runtime.proto.codec import Message, Repeated
from runtime.proto.events import TOPICS, Envelope, TaskCreate, TaskIO
from runtime.proto.wellknown import Any, Timestamp
from runtime.shim.saying import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.proto.codec import Value
    from runtime.proto.task import CreateTaskRequest
    from runtime.shim.forwarder import Forwarder


class Publisher:
    """Takes events of `containerd.events`; never blocks on, nor fails with, who receives them."""

    def __init__(
        self, *, namespace: str, pid: int, journal_path: str | None, forwarder: Forwarder | None
    ) -> None:
        self._namespace = namespace
        self._journal = journal_path
        self._forwarder = forwarder
        self._source = f"shim {pid}"

    def created(self, request: CreateTaskRequest, pid: int) -> None:
        """Publish that what was asked for is there, with this init."""
        io = TaskIO(
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
            terminal=request.terminal,
        )
        event = TaskCreate(
            container_id=request.id, bundle=request.bundle, rootfs=request.rootfs, io=io, pid=pid
        )
        self.publish(event)

    def publish(self, event: Message) -> None:
        """Publish one event, after all that were published before."""
        topic = TOPICS[type(event)]
        if self._journal is not None:
            try:
                journal.append(
                    self._journal,
                    topic,
                    event=plain(event),
                    namespace=self._namespace,
                    source=self._source,
                )
            except OSError as error:
                say(f"cannot write {self._journal}: {error}")
        if self._forwarder is not None:
            body = Any(type_url=f"containerd.events.{type(event).__name__}", value=event.encode())
            envelope = Envelope(
                timestamp=Timestamp.of(time.time_ns()),
                namespace=self._namespace,
                topic=topic,
                event=body,
            )
            self._forwarder.send(envelope)


def plain(message: Message) -> dict[str, object]:
    """Return a message as JSON has it: containerd's field names, times as RFC 3339."""
    result: dict[str, object] = {}
    for _, name, kind in message.FIELDS:
        value: Value = getattr(message, name)
        repeated = isinstance(kind, Repeated)
        result[name] = [_plain_value(each) for each in value] if repeated else _plain_value(value)
    return result


def _plain_value(value: object) -> object:
    if isinstance(value, Timestamp):
        return journal.rfc3339(value.nanoseconds)
    if isinstance(value, Message):
        return plain(value)
    return value
