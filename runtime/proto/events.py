"""`containerd.events`: what a shim publishes, and the envelope it travels in."""

from __future__ import annotations

from runtime.proto.codec import BOOL, STRING, UINT32, Message, Repeated
from runtime.proto.task import Mount
from runtime.proto.wellknown import Any, Timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.proto.codec import Fields


class TaskIO(Message):
    """Where a task's streams go."""

    FIELDS: Fields = (
        (1, "stdin", STRING),
        (2, "stdout", STRING),
        (3, "stderr", STRING),
        (4, "terminal", BOOL),
    )
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


class TaskCreate(Message):
    """A container's init waits."""

    FIELDS: Fields = (
        (1, "container_id", STRING),
        (2, "bundle", STRING),
        (3, "rootfs", Repeated(Mount)),
        (4, "io", TaskIO),
        (5, "checkpoint", STRING),
        (6, "pid", UINT32),
    )
    container_id: str = ""
    bundle: str = ""
    rootfs: Sequence[Mount] = ()
    io: TaskIO | None = None
    checkpoint: str = ""
    pid: int = 0


class TaskStart(Message):
    """Its command runs."""

    FIELDS: Fields = ((1, "container_id", STRING), (2, "pid", UINT32))
    container_id: str = ""
    pid: int = 0


class TaskExit(Message):
    """A process ended; `id` is the container's for the init, the exec's otherwise."""

    FIELDS: Fields = (
        (1, "container_id", STRING),
        (2, "id", STRING),
        (3, "pid", UINT32),
        (4, "exit_status", UINT32),
        (5, "exited_at", Timestamp),
    )
    container_id: str = ""
    id: str = ""
    pid: int = 0
    exit_status: int = 0
    exited_at: Timestamp | None = None


class TaskDelete(Message):
    """A container's task is forgotten."""

    FIELDS: Fields = (
        (1, "container_id", STRING),
        (2, "pid", UINT32),
        (3, "exit_status", UINT32),
        (4, "exited_at", Timestamp),
        (5, "id", STRING),
    )
    container_id: str = ""
    pid: int = 0
    exit_status: int = 0
    exited_at: Timestamp | None = None
    id: str = ""


class TaskExecAdded(Message):
    """An exec was registered."""

    FIELDS: Fields = ((1, "container_id", STRING), (2, "exec_id", STRING))
    container_id: str = ""
    exec_id: str = ""


class TaskExecStarted(Message):
    """An exec runs."""

    FIELDS: Fields = ((1, "container_id", STRING), (2, "exec_id", STRING), (3, "pid", UINT32))
    container_id: str = ""
    exec_id: str = ""
    pid: int = 0


class TaskPaused(Message):
    """A container is frozen."""

    FIELDS: Fields = ((1, "container_id", STRING),)
    container_id: str = ""


class TaskResumed(TaskPaused):
    """A container is thawed."""


class TaskOOM(TaskPaused):
    """The kernel killed a process of a container for want of memory."""


class Envelope(Message):
    """`containerd.types.Envelope`."""

    FIELDS: Fields = (
        (1, "timestamp", Timestamp),
        (2, "namespace", STRING),
        (3, "topic", STRING),
        (4, "event", Any),
    )
    timestamp: Timestamp | None = None
    namespace: str = ""
    topic: str = ""
    event: Any | None = None


class ForwardRequest(Message):
    """Hands an event to containerd (`containerd.services.events.ttrpc.v1.Events/Forward`)."""

    FIELDS: Fields = ((1, "envelope", Envelope),)
    envelope: Envelope | None = None


TOPICS: dict[type[Message], str] = {
    TaskCreate: "/tasks/create",
    TaskStart: "/tasks/start",
    TaskExit: "/tasks/exit",
    TaskDelete: "/tasks/delete",
    TaskExecAdded: "/tasks/exec-added",
    TaskExecStarted: "/tasks/exec-started",
    TaskPaused: "/tasks/paused",
    TaskResumed: "/tasks/resumed",
    TaskOOM: "/tasks/oom",
}
"""The topic that each event is published under; its type is `containerd.events.` + its class."""
