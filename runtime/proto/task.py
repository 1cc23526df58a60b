"""`containerd.task.v2.Task` (and v3, which has the same messages): what a shim is asked."""

from __future__ import annotations

from runtime.proto.codec import BOOL, INT32, STRING, UINT32, Message, Repeated, StringMap
from runtime.proto.wellknown import Any, Timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.proto.codec import Fields

SERVICES = ("containerd.task.v2.Task", "containerd.task.v3.Task")
OWN_SERVICE = "cinspect.shim.v1.Shim"
"""What our shim does for our client beyond containerd's contract: `Attach`."""
STATUSES = ("unknown", "created", "running", "stopped", "paused", "pausing")
"""`containerd.v1.types.Status`, by number."""


class Mount(Message):
    """`containerd.types.Mount`: what to mount on the bundle's rootfs."""

    FIELDS: Fields = (
        (1, "type", STRING),
        (2, "source", STRING),
        (3, "target", STRING),
        (4, "options", Repeated(STRING)),
    )
    type: str = ""
    source: str = ""
    target: str = ""
    options: Sequence[str] = ()


class CreateTaskRequest(Message):
    """Make a container's init, which waits for Start."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "bundle", STRING),
        (3, "rootfs", Repeated(Mount)),
        (4, "terminal", BOOL),
        (5, "stdin", STRING),
        (6, "stdout", STRING),
        (7, "stderr", STRING),
        (8, "checkpoint", STRING),
        (9, "parent_checkpoint", STRING),
        (10, "options", Any),
    )
    id: str = ""
    bundle: str = ""
    rootfs: Sequence[Mount] = ()
    terminal: bool = False
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    checkpoint: str = ""
    parent_checkpoint: str = ""
    options: Any | None = None


class ProcessRequest(Message):
    """An init (`exec_id` empty) or an exec: Start, Delete, State, Wait.

    Pids, Pause, Resume, Stats and Connect look at `id` only.
    """

    FIELDS: Fields = ((1, "id", STRING), (2, "exec_id", STRING))
    id: str = ""
    exec_id: str = ""


class PidResponse(Message):
    """Answers Create and Start."""

    FIELDS: Fields = ((1, "pid", UINT32),)
    pid: int = 0


class DeleteResponse(Message):
    """Answers Delete; also what the `delete` action prints."""

    FIELDS: Fields = ((1, "pid", UINT32), (2, "exit_status", UINT32), (3, "exited_at", Timestamp))
    pid: int = 0
    exit_status: int = 0
    exited_at: Timestamp | None = None


class StateResponse(Message):
    """Answers State; `status` is an index of `STATUSES`."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "bundle", STRING),
        (3, "pid", UINT32),
        (4, "status", INT32),
        (5, "stdin", STRING),
        (6, "stdout", STRING),
        (7, "stderr", STRING),
        (8, "terminal", BOOL),
        (9, "exit_status", UINT32),
        (10, "exited_at", Timestamp),
        (11, "exec_id", STRING),
    )
    id: str = ""
    bundle: str = ""
    pid: int = 0
    status: int = 0
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False
    exit_status: int = 0
    exited_at: Timestamp | None = None
    exec_id: str = ""


class ProcessInfo(Message):
    """One process of Pids; `info` holds a `ProcessDetails` where it is an exec."""

    FIELDS: Fields = ((1, "pid", UINT32), (2, "info", Any))
    pid: int = 0
    info: Any | None = None


class ProcessDetails(Message):
    """`containerd.runc.v1.ProcessDetails`."""

    FIELDS: Fields = ((1, "exec_id", STRING),)
    exec_id: str = ""


class PidsResponse(Message):
    """Answers Pids."""

    FIELDS: Fields = ((1, "processes", Repeated(ProcessInfo)),)
    processes: Sequence[ProcessInfo] = ()


class CheckpointTaskRequest(Message):
    """Checkpoint, which this shim does not implement."""

    FIELDS: Fields = ((1, "id", STRING), (2, "path", STRING), (3, "options", Any))
    id: str = ""
    path: str = ""
    options: Any | None = None


class KillRequest(Message):
    """Send a signal to a process, or to all of them."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "exec_id", STRING),
        (3, "signal", UINT32),
        (4, "all", BOOL),
    )
    id: str = ""
    exec_id: str = ""
    signal: int = 0
    all: bool = False


class ExecProcessRequest(Message):
    """Register an exec; `spec` is an OCI process as JSON."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "exec_id", STRING),
        (3, "terminal", BOOL),
        (4, "stdin", STRING),
        (5, "stdout", STRING),
        (6, "stderr", STRING),
        (7, "spec", Any),
    )
    id: str = ""
    exec_id: str = ""
    terminal: bool = False
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    spec: Any | None = None


class AttachRequest(Message):
    """Give a running process's streams to another client; an empty one stays as it is."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "exec_id", STRING),
        (3, "stdin", STRING),
        (4, "stdout", STRING),
        (5, "stderr", STRING),
    )
    id: str = ""
    exec_id: str = ""
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""


class ResizePtyRequest(Message):
    """A terminal's new size, in character cells."""

    FIELDS: Fields = (
        (1, "id", STRING),
        (2, "exec_id", STRING),
        (3, "width", UINT32),
        (4, "height", UINT32),
    )
    id: str = ""
    exec_id: str = ""
    width: int = 0
    height: int = 0


class CloseIORequest(Message):
    """Close a process's standard input."""

    FIELDS: Fields = ((1, "id", STRING), (2, "exec_id", STRING), (3, "stdin", BOOL))
    id: str = ""
    exec_id: str = ""
    stdin: bool = False


class UpdateTaskRequest(Message):
    """Change limits; `resources` is OCI LinuxResources as JSON."""

    FIELDS: Fields = ((1, "id", STRING), (2, "resources", Any), (3, "annotations", StringMap()))
    id: str = ""
    resources: Any | None = None
    annotations: Mapping[str, str] = {}  # never written: decoding makes a new one


class WaitResponse(Message):
    """Answers Wait."""

    FIELDS: Fields = ((1, "exit_status", UINT32), (2, "exited_at", Timestamp))
    exit_status: int = 0
    exited_at: Timestamp | None = None


class StatsResponse(Message):
    """Answers Stats with cgroup metrics."""

    FIELDS: Fields = ((1, "stats", Any),)
    stats: Any | None = None


class ConnectResponse(Message):
    """Answers Connect."""

    FIELDS: Fields = ((1, "shim_pid", UINT32), (2, "task_pid", UINT32), (3, "version", STRING))
    shim_pid: int = 0
    task_pid: int = 0
    version: str = ""


class ShutdownRequest(Message):
    """Ask the shim to end, if it holds no container."""

    FIELDS: Fields = ((1, "id", STRING), (2, "now", BOOL))
    id: str = ""
    now: bool = False


class RuntimeVersion(Message):
    """`containerd.types.RuntimeVersion`."""

    FIELDS: Fields = ((1, "version", STRING), (2, "revision", STRING))
    version: str = ""
    revision: str = ""


class RuntimeInfo(Message):
    """`containerd.types.RuntimeInfo`: what `-info` prints."""

    FIELDS: Fields = (
        (1, "name", STRING),
        (2, "version", RuntimeVersion),
        (3, "options", Any),
        (4, "features", Any),
        (5, "annotations", StringMap()),
    )
    name: str = ""
    version: RuntimeVersion | None = None
    options: Any | None = None
    features: Any | None = None
    annotations: Mapping[str, str] = {}  # never written: decoding makes a new one
