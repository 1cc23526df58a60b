"""Which columns a table has room for, and how a value becomes a cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from inspector.columns import Column, Value
from screens.widgets import cells
from screens.widgets.cells import UNKNOWN, Line

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(Generic[T]):
    """A column as a screen shows it."""

    column: Column[T]
    paint: Callable[[T, int], Line] | None = None
    """The cell for an item in so many cells; without it the column's text."""
    priority: int = 1
    """0 is always there; the largest gives way first."""
    width: int | None = None
    """The least it needs; the column's own width without it."""
    grow: int = 0
    """Its share of the room that is left."""
    most: int = 200
    title: str | None = None
    sortable: bool = True

    @property
    def least(self) -> int:
        """The fewest cells it needs."""
        return self.column.width if self.width is None else self.width

    def cell(self, item: T, width: int) -> Line:
        """Return the cell of an item."""
        if self.paint is not None:
            return self.paint(item, width)
        if self.column.value(item) is None:
            return (UNKNOWN,)
        return cells.plain(self.column.text(item))


def sort_key(value: Value) -> tuple[int, float, str]:
    """Order numbers before texts, texts without regard to case."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value).casefold())


def laid_out(columns: Sequence[Shown[T]], width: int) -> list[tuple[Shown[T], int]]:
    """Return the columns that fit into `width` cells, each with its own width."""
    kept: list[Shown[T]] = []
    left = width
    for shown in sorted(columns, key=lambda one: one.priority):
        needed = shown.least + 1
        if needed <= left or shown.priority == 0:
            kept.append(shown)
            left -= needed
    widths = {shown.column.id: shown.least for shown in kept}
    while left > 0:
        growing = [one for one in kept if one.grow and widths[one.column.id] < one.most]
        if not growing:
            break
        shares = sum(one.grow for one in growing)
        spent = 0
        for one in growing:
            extra = min(max(1, left * one.grow // shares), one.most - widths[one.column.id])
            extra = min(extra, left - spent)
            widths[one.column.id] += extra
            spent += extra
        left -= spent
        if spent == 0:
            break
    return [(one, widths[one.column.id]) for one in columns if one in kept]


def heading(shown: Shown[T], arrow: str, width: int) -> Line:
    """Return a column's title, with the direction it is sorted in."""
    title = shown.column.title if shown.title is None else shown.title
    if not arrow:
        return ((title, "title"),)
    if len(title) + 1 > width:
        title = title[: max(0, width - 1)]
    return ((title, "title"), (arrow, "accent"))
