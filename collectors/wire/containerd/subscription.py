"""containerd's events as they come; it keeps none for who was not there."""

from collections.abc import Sequence
from typing import Final, Protocol, cast

from collectors.wire.containerd.messages import Any, Timestamp, message
from collectors.wire.grpc_stream import MessageStream

_METHOD: Final = "/containerd.services.events.v1.Events/Subscribe"


class Envelope(Protocol):
    """One event with its wrapping."""

    timestamp: Timestamp
    namespace: str
    topic: str
    event: Any


class Subscription(MessageStream):
    """An open stream of the events of all namespaces."""

    def __init__(self, path: str) -> None:
        """Subscribe; raise as `MessageStream` does."""
        super().__init__(path, _METHOD, message("containerd.events.Envelope"))

    def take(self) -> Sequence[Envelope]:
        """Return the events that came since the last call; raise as `messages` does."""
        return cast("Sequence[Envelope]", self.messages())
