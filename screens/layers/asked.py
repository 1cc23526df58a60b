"""What was asked of a container's layers on demand, and what a list of the screen is made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from inspector.control import LayerReport, Weighed
from inspector.domains.containers.model import Container
from inspector.layers.growth import Growth
from inspector.layers.model import DeletedFile, PathReport
from screens.moment import Moment
from screens.widgets.cells import Line
from screens.widgets.table_columns import Shown

T = TypeVar("T")


@dataclass
class Asked:
    """The answers that are there, of one container; `version` is another one with each answer."""

    report: LayerReport | None = None
    weighed: Weighed | None = None
    listings: dict[str, tuple[PathReport, ...]] = field(
        default_factory=dict[str, tuple[PathReport, ...]]
    )
    opened: set[str] = field(default_factory=set[str])
    """Directories that are unfolded."""
    deleted: tuple[DeletedFile, ...] | None = None
    growth: Growth | None = None
    begun: set[str] = field(default_factory=set[str])
    """Lists that were asked for."""
    problems: dict[str, str] = field(default_factory=dict[str, str])
    """What could not be answered, by list."""
    version: int = 0

    def answered(self, view: str, problem: str = "") -> None:
        """Note that an answer came for a list, or why none did."""
        self.problems[view] = problem
        self.version += 1


@dataclass(frozen=True)
class Subject:
    """Whose layers are shown, at which moment, with what was asked of them."""

    container: Container
    moment: Moment
    asked: Asked


@dataclass(frozen=True, kw_only=True)
class View(Generic[T]):
    """One list beside the stack."""

    key: str
    title: str
    help: str
    columns: tuple[Shown[T], ...]
    identify: Callable[[T], str]
    items: Callable[[Subject], Sequence[T]]
    empty: Callable[[Asked], str]
    """What it says while nothing is in it."""
    note: Callable[[T, Subject], list[Line]]
    """One item in words."""
    path: Callable[[T], str | None]
    """The path in the container that can be viewed and saved."""
    sort: str | None = None
    steady: bool = False
    """Made from answers alone: it need not be made anew with each frame."""
