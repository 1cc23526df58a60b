"""Every action on a container, once for the screens and the command line: who can do it, does it."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from collectors.errors import CollectError
from inspector.control import ActionFailed
from inspector.controls import containerd_actions, docker_actions
from inspector.controls.action_log import ActionLog
from inspector.domains.containers.model import Container
from inspector.errors import Failure
from runtime import foreign
from runtime.api import Runtime
from runtime.errors import RuntimeFailure
from runtime.foreign import ForeignContainer
from runtime.types import ContainerOptions, ExecOptions, Resources

EMBEDDED: Final = "cinspect"


@dataclass(frozen=True, slots=True)
class Target:
    """A container to act on: of the embedded engine (no `container`), or somebody else's."""

    id: str
    container: Container | None = None

    @property
    def engine(self) -> str | None:
        """Whose it is."""
        return EMBEDDED if self.container is None else self.container.engine


@dataclass(frozen=True, slots=True)
class Actions:
    """Acts by the engine that owns the container, and by the kernel where that does not answer.

    Each action raises `ActionFailed`, and is in the action log whatever came of it.
    """

    engine: Runtime
    root: str
    state: str
    log: ActionLog

    async def start(self, options: ContainerOptions) -> str:
        """Start a container of the embedded engine, detached; return its id.

        Nothing of it is left if that fails.
        """
        started: list[str] = []

        async def run() -> None:
            created = await self.engine.create(options)
            try:
                await self.engine.start(created.id)
            except BaseException:
                await self.engine.remove(created.id, force=True)
                raise
            started.append(created.id)

        new = Target(options.name or shlex.join(options.command))
        await self._act("run", new, run, _nobody)
        return started[0]

    async def freeze(self, target: Target) -> None:
        """Freeze every process of it."""

        async def others(container: Container) -> str:
            if container.engine == containerd_actions.ENGINE:
                asked = await containerd_actions.freeze(self._addresses(container), container)
            else:
                asked = await docker_actions.freeze(self._sockets(container), container.id)
            if asked is None:
                return await asyncio.to_thread(foreign.freeze, kernel_view(container))
            return asked

        await self._act("freeze", target, lambda: self.engine.freeze(target.id), others)

    async def thaw(self, target: Target) -> None:
        """Let them go on."""

        async def others(container: Container) -> str:
            try:
                asked = await self._ask_to_thaw(container)
            except ActionFailed as refused:
                # It may be frozen without its engine's knowing: then the kernel can tell.
                try:
                    return await asyncio.to_thread(foreign.thaw, kernel_view(container))
                except RuntimeFailure:
                    raise refused from None
            if asked is None:
                return await asyncio.to_thread(foreign.thaw, kernel_view(container))
            return asked

        await self._act("thaw", target, lambda: self.engine.thaw(target.id), others)

    async def _ask_to_thaw(self, container: Container) -> str | None:
        if container.engine == containerd_actions.ENGINE:
            return await containerd_actions.thaw(self._addresses(container), container)
        return await docker_actions.thaw(self._sockets(container), container.id)

    async def kill(self, target: Target, signal: int) -> None:
        """Send a signal to its first process."""

        async def others(container: Container) -> str:
            asked = await docker_actions.kill(self._sockets(container), container.id, signal)
            if asked is None:
                foreign.kill(kernel_view(container), signal)
            return asked or f"signal to {container.pid}"

        await self._act(
            f"kill -s {signal}", target, lambda: self.engine.kill(target.id, signal), others
        )

    async def update(self, target: Target, resources: Resources) -> None:
        """Change its limits."""

        async def others(container: Container) -> str:
            asked = await docker_actions.update(self._sockets(container), container.id, resources)
            if asked is None:
                await asyncio.to_thread(foreign.update, kernel_view(container), resources)
            return asked or "its cgroups"

        await self._act("update", target, lambda: self.engine.update(target.id, resources), others)

    async def remove(self, target: Target, *, force: bool) -> None:
        """Remove it; one that no engine knows cannot be, only its processes can be ended."""

        async def others(container: Container) -> str:
            asked = await docker_actions.remove(self._sockets(container), container.id, force=force)
            if asked is None:
                raise ActionFailed(
                    f"{container.name}: no engine that could remove it answers; "
                    f"cinspect kill {container.id} ends its first process"
                )
            return asked

        await self._act("rm", target, lambda: self.engine.remove(target.id, force=force), others)

    def enter(self, target: Target, options: ExecOptions) -> tuple[str, ...]:
        """Return the host's command that runs another one in somebody else's container."""
        if target.container is None:
            raise ActionFailed(f"{target.id} is the embedded engine's: it executes by itself")
        error: str | None = None
        try:
            return foreign.enter_argv(kernel_view(target.container), options)
        except RuntimeFailure as failure:
            error = str(failure)
            raise ActionFailed(error) from failure
        finally:
            how = shlex.join(options.command)
            self.log.record("exec", target.id, engine=target.engine, how=how, error=error)

    def _sockets(self, container: Container) -> Sequence[str]:
        """Return the sockets of the engine that owns a container, if it speaks Docker's API."""
        return self._addresses(container) if container.engine in docker_actions.ENGINES else ()

    def _addresses(self, container: Container) -> Sequence[str]:
        return addresses(container, root=self.root, state=self.state)

    async def _act(
        self,
        action: str,
        target: Target,
        embedded: Callable[[], Awaitable[object]],
        others: Callable[[Container], Awaitable[str]],
    ) -> None:
        how: str | None = EMBEDDED
        error: str | None = "interrupted"
        try:
            if target.container is None:
                await embedded()
            else:
                how = None
                how = await others(target.container)
            error = None
        except (RuntimeFailure, CollectError, Failure) as failure:
            error = str(failure)
            raise ActionFailed(error) from failure
        except OSError as failure:
            error = f"{failure.filename or target.id}: {failure.strerror}"
            raise ActionFailed(error) from failure
        finally:
            self.log.record(action, target.id, engine=target.engine, how=how, error=error)


def addresses(container: Container, *, root: str, state: str) -> Sequence[str]:
    """Return the sockets of the engine that owns a container."""
    # Adapters of every engine: only who acts on one of theirs needs them.
    from collectors.registry import engines  # noqa: PLC0415

    return [
        each.address.removeprefix("unix://")
        for each in engines(engine_root=root, engine_state=state)
        if each.name.removesuffix("-env") == container.engine and each.address is not None
    ]


def open_actions(root: str, state: str) -> Actions:
    """Return actions over an engine's directories; close its `engine` when all is done."""
    return Actions(Runtime(root=root, state=state), root, state, ActionLog.below(root))


async def _nobody(container: Container) -> str:
    raise ActionFailed(f"{container.name} is not to be started here")


def kernel_view(container: Container) -> ForeignContainer:
    """Return what the kernel must know of a container; raise `ActionFailed` if it does not run."""
    if container.pid is None:
        raise ActionFailed(f"{container.name} does not run ({container.status})")
    return ForeignContainer(
        name=container.name,
        pid=container.pid,
        namespaces=container.namespaces,
        cgroups=container.cgroups,
    )
