"""Control of the live host for the screens: the same actions as the command line's."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, TypeVar

from collectors.errors import CollectError
from collectors.kernel import layers
from collectors.root import Root
from inspector.control import ActionFailed, LayerReport, StartRequest
from inspector.controls import targets
from inspector.controls.actions import Actions, Target, open_actions
from inspector.controls.files import LiveFiles
from inspector.domains.containers.model import Container
from inspector.domains.layers.model import Change
from inspector.layers import places
from runtime.types import ContainerOptions, Resources

T = TypeVar("T")

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_VERBS: Final[Mapping[str, str]] = {"signal": "kill", "remove": "rm", "exec": "exec -it"}
"""What the screens call an action, where the command line has another word."""
_WALK_SECONDS: Final = 20.0
"""For an upper layer."""


@dataclass(frozen=True)
class LiveControl:
    """Acts on this host; implements `inspector.control.Control`.

    Each action runs in a thread of its own, with its own event loop and engine: its files, locks and
    sockets never hold up the screens.
    """

    root: str
    state: str
    read_only: bool = False
    host_root: str = "/"

    @property
    def files(self) -> LiveFiles:
        """What reads the files of its layers."""
        return self._files

    @cached_property
    def _files(self) -> LiveFiles:
        return LiveFiles(Root(self.host_root), read_only=self.read_only)

    async def start(self, request: StartRequest) -> str:
        """Start a container of the embedded engine, detached; return its id."""
        if os.geteuid() != 0:
            raise ActionFailed("start needs root: nothing was changed; start cinspect with sudo")
        return await self._do(lambda actions: actions.start(_options(request)))

    async def freeze(self, container: Container) -> None:
        """Freeze every process of it."""
        await self._do_to(container, lambda actions, target: actions.freeze(target))

    async def thaw(self, container: Container) -> None:
        """Let them go on."""
        await self._do_to(container, lambda actions, target: actions.thaw(target))

    async def signal(self, container: Container, signal: int) -> None:
        """Send a signal to its first process."""
        await self._do_to(container, lambda actions, target: actions.kill(target, signal))

    async def remove(self, container: Container, *, force: bool) -> None:
        """Remove it with all that is its own."""
        await self._do_to(container, lambda actions, target: actions.remove(target, force=force))

    def exec_argv(self, container: Container, command: Sequence[str]) -> tuple[str, ...]:
        """Return the host's command that runs `command` in it on the terminal it is started on."""
        self._check()
        where = ("--root", self.root, "--state", self.state)
        return (*executable(), *where, "exec", "-it", container.id, *command)

    def equivalent(self, action: str, container: Container) -> str:
        """Return the cinspect command line that does the same, as `cinspect freeze web`."""
        plain = container.engine is not None and _PLAIN_NAME.fullmatch(container.name)
        reference = container.name if plain else container.id
        return f"cinspect {_VERBS.get(action, action)} {shlex.quote(reference)}"

    async def layers(self, container: Container) -> LayerReport:
        """Walk its upper layer: its size, and every changed path."""
        if container.rootfs is None:
            raise ActionFailed(f"{container.name}: its root filesystem is not known")
        return await asyncio.to_thread(_walk, Root(self.host_root), container)

    async def _do_to(
        self, container: Container, work: Callable[[Actions, Target], Coroutine[Any, Any, None]]
    ) -> None:
        async def act(actions: Actions) -> None:
            await work(actions, await targets.of(actions.engine, container))

        await self._do(act)

    async def _do(self, work: Callable[[Actions], Coroutine[Any, Any, T]]) -> T:
        self._check()
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Actions], Coroutine[Any, Any, T]]) -> T:
        async def act() -> T:
            actions = open_actions(self.root, self.state)
            try:
                return await work(actions)
            finally:
                await actions.engine.close()

        return asyncio.run(act())

    def _check(self) -> None:
        if self.read_only:
            raise ActionFailed("cinspect was started with --read-only: nothing is changed")


def executable() -> tuple[str, ...]:
    """Return how this same cinspect is started again."""
    installed = os.path.join(os.path.dirname(sys.executable), "cinspect")
    if os.access(installed, os.X_OK):
        return (installed,)
    # Not a bare -m: that would import from whatever directory the user is in.
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    start = (
        f"import sys; sys.path.insert(0, {package!r}); "
        "from inspector.cli.main import main; sys.exit(main())"
    )
    return (sys.executable, "-I", "-c", start)


def _options(request: StartRequest) -> ContainerOptions:
    return ContainerOptions(
        image=request.image if request.rootfs is None else None,
        rootfs=request.rootfs,
        command=request.command,
        name=request.name,
        env=request.env,
        network=request.network,
        resources=Resources(
            memory_bytes=request.memory_bytes,
            cpus=request.cpus,
            pids_limit=request.pids_limit,
        ),
    )


def _walk(root: Root, container: Container) -> LayerReport:
    overlay = places.overlay_of(root, container)
    if overlay is None or overlay.upperdir is None:
        raise ActionFailed(f"{container.name}: its root is no overlay with an upper layer")
    try:
        upper = layers.scan(root, overlay, seconds=_WALK_SECONDS)
    except CollectError as failure:
        raise ActionFailed(f"{container.name}: {failure}") from failure
    return LayerReport(
        sizes={upper.upperdir: upper.size_bytes} if upper.complete else {},
        changes=tuple(_change(each) for each in upper.changes),
        complete=upper.complete,
    )


def _change(found: layers.FileChange) -> Change:
    modified = found.modified_at
    return Change(
        path=found.path,
        kind=found.kind,
        size_bytes=found.size_bytes,
        is_directory=found.is_directory,
        layer=found.layer,
        modified_at=None if modified is None else datetime.fromtimestamp(modified, UTC),
    )
