"""What a screen may ask of the application around it, so that neither needs the other's module."""

from dataclasses import dataclass
from typing import Protocol

from inspector.control import Control
from inspector.domains.containers.model import Container
from screens.moment import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How the sampling itself is."""

    age: float | None
    """Seconds since the sample came; None before the first."""
    interval: float
    paused: bool
    ended: bool
    problem: str
    cpu_ratio: float
    """Share of one core that sampling takes."""
    files: int
    errors: int
    """What could not be read."""


class Shell(Protocol):
    """The application, as a screen sees it."""

    @property
    def moment(self) -> Moment | None:
        """What is shown now; None before the first frame."""
        ...

    @property
    def vitals(self) -> Vitals:
        """How the sampling itself is."""
        ...

    @property
    def control(self) -> Control:
        """What acts on containers, and reads one's layers in full."""
        ...

    @property
    def may_act(self) -> bool:
        """Whether actions are offered at all."""
        ...

    @property
    def chosen(self) -> str | None:
        """Id of the container that was selected last, on whichever screen."""
        ...

    def choose(self, container: str) -> None:
        """Remember a container as the selected one."""
        ...

    def go(self, mode: str, container: str | None = None) -> None:
        """Show a screen; with a container, that container's part of it."""
        ...

    def take_target(self, mode: str) -> str | None:
        """Return the container that a screen was asked to show, once."""
        ...

    def back(self) -> None:
        """Return to the screen before."""
        ...

    def ask_owner(self) -> None:
        """Ask who owns something, and go to the container."""
        ...

    def act(self, action: str, container: Container | None) -> None:
        """Begin an action of `screens.keys.ACTIONS`; nothing where actions are not offered."""
        ...
