"""The only door into the runtime: a smart client that needs no daemon."""

from collections.abc import AsyncIterator
from datetime import datetime

from runtime.errors import Unimplemented
from runtime.types import (
    Change,
    Container,
    ContainerOptions,
    Event,
    ExecOptions,
    Exit,
    LogLine,
    Resources,
    Stdio,
)


class Runtime:
    """Every service of the engine in one object; several at once, in several processes, are safe.

    `reference` is an id, a unique prefix of one (3 digits at least), or a name. What it does not
    name raises `NotFound`; an ambiguous one raises `InvalidArgument`.
    """

    def __init__(self, *, root: str, state: str, namespace: str = "default") -> None:
        self._root = root
        self._state = state
        self._namespace = namespace

    async def containers(self) -> tuple[Container, ...]:
        """Return every container, oldest first; one whose state cannot be told carries `error`."""
        raise Unimplemented("containers")

    async def container(self, reference: str) -> Container:
        """Return one container."""
        raise Unimplemented("container")

    async def create(self, options: ContainerOptions, *, stdio: Stdio | None = None) -> Container:
        """Make a container and its init, which waits; nothing is left behind if that fails."""
        raise Unimplemented("create")

    async def start(self, reference: str) -> Container:
        """Let a created container's command run; a stopped one is started anew on its layers."""
        raise Unimplemented("start")

    async def wait(self, reference: str, *, exec_id: str = "") -> Exit:
        """Return how the container (or the exec) ended, when it has."""
        raise Unimplemented("wait")

    async def exec(
        self, reference: str, options: ExecOptions, *, stdio: Stdio | None = None
    ) -> str:
        """Start one more process in a running container; return its exec id."""
        raise Unimplemented("exec")

    async def delete_exec(self, reference: str, exec_id: str) -> None:
        """Forget an exec that has ended."""
        raise Unimplemented("delete_exec")

    async def resize(self, reference: str, *, width: int, height: int, exec_id: str = "") -> None:
        """Tell the terminal its size, in character cells."""
        raise Unimplemented("resize")

    async def close_stdin(self, reference: str, *, exec_id: str = "") -> None:
        """Let the process read an end of file."""
        raise Unimplemented("close_stdin")

    async def kill(self, reference: str, signal: int, *, exec_id: str = "") -> None:
        """Send a signal to the container's init (or to an exec)."""
        raise Unimplemented("kill")

    async def stop(self, reference: str, *, timeout_seconds: float = 10) -> Exit:
        """Send SIGTERM, and SIGKILL when the time has passed; a frozen container is thawed."""
        raise Unimplemented("stop")

    async def freeze(self, reference: str) -> None:
        """Stop every process of it by its freezer cgroup."""
        raise Unimplemented("freeze")

    async def thaw(self, reference: str) -> None:
        """Let them go on."""
        raise Unimplemented("thaw")

    async def update(self, reference: str, resources: Resources) -> None:
        """Change limits of a running container; a `None` stays as it is."""
        raise Unimplemented("update")

    async def remove(self, reference: str, *, force: bool = False) -> None:
        """Remove a container and everything of it: shim, cgroups, mounts, layers, records.

        Works whatever an interrupted command left. A running one needs `force`.
        """
        raise Unimplemented("remove")

    async def processes(self, reference: str) -> tuple[int, ...]:
        """Return the host's pids of a container's processes."""
        raise Unimplemented("processes")

    async def spec(self, reference: str) -> dict[str, object]:
        """Return the OCI runtime spec that the container was made from."""
        raise Unimplemented("spec")

    async def diff(self, reference: str) -> tuple[Change, ...]:
        """Return what the container changed over its lower layers, by path."""
        raise Unimplemented("diff")

    def logs(self, reference: str, *, follow: bool = False) -> AsyncIterator[LogLine]:
        """Yield what the container wrote; with `follow`, until it ends."""
        raise Unimplemented("logs")

    def events(self, *, since: datetime | None = None, follow: bool = True) -> AsyncIterator[Event]:
        """Yield events: first those kept since then (None: none), then new ones as they come."""
        raise Unimplemented("events")
