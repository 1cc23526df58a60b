"""What can be done to containers: each action by the engine that owns it, or by the kernel."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from inspector.domains.containers.model import Container
from inspector.domains.layers.model import Change
from inspector.errors import Failure


class ActionFailed(Failure):
    """An action failed; the message is one line that says what, why and what to do."""


class StartRequest(Struct, frozen=True, kw_only=True):
    """What the start dialog asks for; the same as `cinspect run -d`."""

    image: str | None = "@host"
    rootfs: str | None = None
    command: tuple[str, ...] = ()
    name: str | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    pids_limit: int | None = None
    network: Literal["none", "host"] = "none"
    env: tuple[str, ...] = ()


class LayerReport(Struct, frozen=True, kw_only=True):
    """A container's layers in full, read on demand."""

    sizes: Mapping[str, int]
    """Bytes by layer's path; one that was not counted within the budget is absent."""
    changes: tuple[Change, ...]
    complete: bool


class Control(Protocol):
    """Acts on containers; each action raises `ActionFailed`."""

    @property
    def read_only(self) -> bool:
        """Whether every action is refused, and so should not be offered."""
        ...

    async def start(self, request: StartRequest) -> str:
        """Start a container of the embedded engine, detached; return its id."""
        ...

    async def freeze(self, container: Container) -> None:
        """Freeze every process of it."""
        ...

    async def thaw(self, container: Container) -> None:
        """Let them go on."""
        ...

    async def signal(self, container: Container, signal: int) -> None:
        """Send a signal to its first process."""
        ...

    async def remove(self, container: Container, *, force: bool) -> None:
        """Remove it with all that is its own."""
        ...

    def exec_argv(self, container: Container, command: Sequence[str]) -> tuple[str, ...]:
        """Return the host's command that runs `command` in it on the terminal it is started on."""
        ...

    def equivalent(self, action: str, container: Container) -> str:
        """Return the cinspect command line that does the same, as `cinspect freeze web`."""
        ...

    async def layers(self, container: Container) -> LayerReport:
        """Walk its layers: sizes, and every changed path."""
        ...
