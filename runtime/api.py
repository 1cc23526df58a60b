"""The only door into the runtime: a smart client that needs no daemon."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NoReturn

from runtime import identifiers
from runtime.paths import Paths
from runtime.shim import bundle
from runtime.snapshots import changes
from runtime.tasks import creation, logs, network_files, operations, removal, status
from runtime.tasks.engine import Engine, require_root
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


def again_as_root(arguments: Sequence[str]) -> NoReturn:
    """Begin this program once more, as root of a user namespace of the user's own ids.

    `arguments` are put before its own. Only for a process without threads. Raises
    `PermissionDenied` or `FailedPrecondition` saying what the user lacks.
    """
    from runtime import rootless  # noqa: PLC0415 - few users get here

    rootless.again_as_root(arguments)


class Runtime:  # noqa: PLR0904  # the one door to every operation; each is a line
    """Every service of the engine in one object; several at once, in several processes, are safe.

    `reference` is an id, a unique prefix of one (3 digits at least), or a name. What it does not
    name raises `NotFound`; an ambiguous one raises `InvalidArgument`.
    """

    def __init__(self, *, root: str, state: str, namespace: str = "default") -> None:
        self._paths = Paths(
            os.path.abspath(root), os.path.abspath(state), identifiers.check_namespace(namespace)
        )
        self._engine = Engine(self._paths)

    async def warm(self) -> None:
        """Keep a warm process until `close`, so that containers start in a few milliseconds.

        For a client that lives long; `create` and `start` work without it.
        """
        require_root("a warm engine")
        await self._engine.warm()

    async def close(self) -> None:
        """Let go of the shims and the database; containers go on."""
        await self._engine.close()

    async def containers(self) -> tuple[Container, ...]:
        """Return every container, oldest first; one whose state cannot be told carries `error`."""
        records = self._engine.store.containers()
        layers = self._engine.snapshotter.all() if records else {}
        return tuple(status.container(self._paths, record, layers) for record in records)

    async def container(self, reference: str) -> Container:
        """Return one container."""
        record = self._engine.resolve(reference)
        return status.container(self._paths, record, self._engine.snapshotter.all())

    async def create(self, options: ContainerOptions, *, stdio: Stdio | None = None) -> Container:
        """Make a container and its init, which waits; nothing is left behind if that fails."""
        require_root("making a container")
        record = await creation.create(self._engine, options, stdio or Stdio())
        return await self.container(record.id)

    async def start(self, reference: str, *, stdio: Stdio | None = None) -> Container:
        """Let a created container's command run; a stopped one is started anew on its layers.

        With `stdio` a created one's waiting init is made anew too: for these streams.
        """
        require_root("starting a container")
        record = await creation.start(self._engine, reference, stdio)
        return await self.container(record.id)

    async def wait(self, reference: str, *, exec_id: str = "") -> Exit:
        """Return how the container (or the exec) ended, when it has."""
        return await operations.wait(self._engine, reference, exec_id)

    async def exec(
        self, reference: str, options: ExecOptions, *, stdio: Stdio | None = None
    ) -> str:
        """Start one more process in a running container; return its exec id."""
        return await operations.exec_process(self._engine, reference, options, stdio or Stdio())

    async def attach(self, reference: str, *, stdio: Stdio, exec_id: str = "") -> None:
        """Give the streams of a running process to this client; the one before sees their end.

        The FIFOs are opened for reading before this is called, as for `create`. A stdin that was
        closed, or never there, raises `FailedPrecondition`; a terminal always has one.
        """
        record = operations.running(self._engine, reference)
        async with await self._engine.connect(record.id) as client:
            await client.attach(
                exec_id,
                stdin=stdio.stdin or "",
                stdout=stdio.stdout or "",
                stderr=stdio.stderr or "",
            )

    async def delete_exec(self, reference: str, exec_id: str) -> None:
        """Forget an exec that has ended."""
        record = self._engine.resolve(reference)
        async with await self._engine.connect(record.id) as client:
            await client.delete(exec_id)

    async def resize(self, reference: str, *, width: int, height: int, exec_id: str = "") -> None:
        """Tell the terminal its size, in character cells."""
        record = self._engine.resolve(reference)
        async with await self._engine.connect(record.id) as client:
            await client.resize(width=width, height=height, exec_id=exec_id)

    async def close_stdin(self, reference: str, *, exec_id: str = "") -> None:
        """Let the process read an end of file."""
        record = self._engine.resolve(reference)
        async with await self._engine.connect(record.id) as client:
            await client.close_stdin(exec_id)

    async def kill(self, reference: str, signal: int, *, exec_id: str = "") -> None:
        """Send a signal to the container's init (or to an exec)."""
        await operations.kill(self._engine, reference, signal, exec_id)

    async def stop(self, reference: str, *, timeout_seconds: float = 10) -> Exit | None:
        """Send SIGTERM, and SIGKILL when the time has passed; a frozen container is thawed.

        None where it ended without a shim that saw how.
        """
        return await operations.stop(self._engine, reference, timeout_seconds)

    async def freeze(self, reference: str) -> None:
        """Stop every process of it by its freezer cgroup."""
        await operations.freeze(self._engine, reference)

    async def thaw(self, reference: str) -> None:
        """Let them go on."""
        await operations.thaw(self._engine, reference)

    async def update(self, reference: str, resources: Resources) -> None:
        """Change limits of a container, now and for later starts; a `None` stays as it is."""
        await operations.update(self._engine, reference, resources)

    async def rename(self, reference: str, name: str) -> None:
        """Give a container another name; one that is taken raises `AlreadyExists`."""
        record = self._engine.resolve(reference)
        self._engine.store.update(record.id, name=identifiers.check_name(name))
        self._engine.publish("/containers/update", {"id": record.id, "image": record.image or ""})

    async def remove(self, reference: str, *, force: bool = False) -> None:
        """Remove a container and everything of it: shim, cgroups, mounts, layers, records.

        Works whatever an interrupted command left. A running one needs `force`.
        """
        require_root("removing a container")
        await removal.remove(self._engine, reference, force=force)

    async def processes(self, reference: str) -> tuple[int, ...]:
        """Return the host's pids of a container's processes."""
        return operations.processes(self._engine, reference)

    async def spec(self, reference: str) -> dict[str, object]:
        """Return the OCI runtime spec that the container was made from."""
        record = self._engine.resolve(reference)
        return bundle.read_json(self._paths.spec(record.id))

    async def diff(self, reference: str) -> tuple[Change, ...]:
        """Return what the container changed over its lower layers, by path."""
        record = self._engine.resolve(reference)
        layers = self._engine.snapshotter.layers(record.id)
        found = await asyncio.to_thread(changes.of, layers)
        spec_path = self._paths.spec(record.id)
        return network_files.without(found, spec_path=spec_path, upperdir=layers.upperdir)

    def root(self, reference: str) -> AbstractAsyncContextManager[int]:
        """Return the root directory of a container that has stopped; entered, it gives a descriptor.

        Through it the container's files and volumes can be written; meanwhile it cannot start.
        """
        from runtime.tasks import editing  # noqa: PLC0415 - it makes mounts, as few clients do

        return editing.root(self._engine, reference)

    def logs(self, reference: str, *, follow: bool = False) -> AsyncIterator[LogLine]:
        """Yield what the container wrote; with `follow`, until it ends."""
        record = self._engine.resolve(reference)

        def ended() -> bool:
            return self._engine.view(record).status == "stopped"

        return logs.read(self._paths.log(record.id), follow=follow, ended=ended)

    def events(self, *, since: datetime | None = None, follow: bool = True) -> AsyncIterator[Event]:
        """Yield events: first those kept since then (None: none), then new ones as they come."""
        return self._engine.events(since=since, follow=follow)
