"""What a controller is to the manager: a translator from the OCI spec to writes into files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Reader = Callable[[str], str | None]
"""From a file's name in the cgroup to what it says now; None if it is not there."""


class Write(NamedTuple):
    """One value for one file; `optional` ones are passed over where the kernel lacks the file."""

    file: str
    value: str
    optional: bool = False


class Controller(Protocol):
    """A module of this package that knows one controller's files in both versions."""

    @property
    def KEY(self) -> str:  # noqa: N802 - modules are controllers too, and a module has constants
        """The key in `linux.resources`."""
        ...

    def needed(self, resources: Mapping[str, Any], /) -> Sequence[str]:
        """Return the names of the controllers without which the resources cannot be limited."""
        ...

    def first(self, resources: Mapping[str, Any], current: Reader, /) -> Sequence[Write]:
        """Return the writes for v1."""
        ...

    def second(self, resources: Mapping[str, Any], current: Reader, /) -> Sequence[Write]:
        """Return the writes for v2."""
        ...


def limit(value: int) -> str:
    """Return a limit as v2 files take it: negative is no limit."""
    return "max" if value < 0 else str(value)
