"""The events of a server of the Container Runtime Interface, where it has them (GetContainerEvents)."""

from collections.abc import Sequence
from typing import Final, Protocol, cast

from collectors.wire.cri.messages import SandboxMetadata, message
from collectors.wire.grpc_stream import MessageStream

METHOD: Final = "/runtime.v1.RuntimeService/GetContainerEvents"


class _SandboxStatus(Protocol):
    id: str
    metadata: SandboxMetadata


class ContainerEvent(Protocol):
    """One event; a pod's sandbox is a container too."""

    container_id: str
    container_event_type: int
    """Created, started, stopped, deleted."""
    created_at: int
    """Nanoseconds since the epoch."""
    pod_sandbox_status: _SandboxStatus


class Subscription(MessageStream):
    """An open stream of the events of all pods."""

    def __init__(self, path: str) -> None:
        """Subscribe; raise as `MessageStream` does."""
        super().__init__(path, METHOD, message("ContainerEventResponse"))

    def take(self) -> Sequence[ContainerEvent]:
        """Return the events that came since the last call; raise as `messages` does."""
        return cast("Sequence[ContainerEvent]", self.messages())
