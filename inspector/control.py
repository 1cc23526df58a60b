"""What can be done to containers: each action by the engine that owns it, or by the kernel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from inspector.domains.containers.model import Container
from inspector.domains.layers.model import Change
from inspector.errors import Failure
from inspector.layers.growth import Growth
from inspector.layers.model import DeletedFile, PathReport, Waste


class ActionFailed(Failure):
    """An action failed; the message is one line that says what, why and what to do."""


class TargetExists(ActionFailed):
    """A file is there already, and nobody said that it may be replaced."""


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
    """A container's upper layer in full, read on demand."""

    sizes: Mapping[str, int]
    """Bytes by layer's path; one that was not counted within the budget is absent."""
    changes: tuple[Change, ...]
    complete: bool


class Weighed(Struct, frozen=True, kw_only=True):
    """How the bytes of all layers are used: so far, or in the end."""

    waste: Waste
    sizes: Mapping[str, int]
    """Bytes of contents by layer's path, visible and hidden ones together."""


class Viewed(Struct, frozen=True, kw_only=True):
    """The beginning of a file."""

    path: str
    layer: str | None
    """`upper`, or a lower layer's number; null: as the container has it."""
    data: bytes
    size_bytes: int
    """Of the whole file; 0 for one that has no length, as those of /proc."""
    complete: bool
    """Whether `data` is all of it."""


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
        """Walk its upper layer: its size, and every changed path."""
        ...

    @property
    def files(self) -> "Files":
        """What reads the files of its layers."""
        ...


class Files(Protocol):
    """Reads the files of containers, running or stopped, on demand; each method raises `ActionFailed`.

    Nothing is executed in a container, and nothing of it is changed.
    """

    async def which(self, container: Container, path: str) -> PathReport:
        """Return every layer's version of a path."""
        ...

    async def listing(self, container: Container, path: str) -> tuple[PathReport, ...]:
        """Return one directory's names over all layers, deleted ones too."""
        ...

    async def weigh(self, container: Container, tell: Callable[[Weighed], None]) -> Weighed:
        """Weigh all layers; `tell` hears now and then how far it is. Cancelling ends the walk."""
        ...

    async def growth(self, container: Container) -> Growth | None:
        """Walk the upper layer; return what was written since it was first walked, None the first time."""
        ...

    async def deleted(self, container: Container) -> tuple[DeletedFile, ...]:
        """Return the deleted files that its processes have open."""
        ...

    async def view(
        self, container: Container, path: str, *, layer: str | None, most_bytes: int
    ) -> Viewed:
        """Return the beginning of a regular file, as the container or one layer has it."""
        ...

    async def save(
        self, container: Container, path: str, to: str, *, layer: str | None, replace: bool
    ) -> int:
        """Copy a regular file to a path of the host, whole or not at all; return its bytes.

        Raises `TargetExists` where something is there and `replace` is false.
        """
        ...
