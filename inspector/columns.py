"""A column: how one value is found, sorted and shown, in the terminal and in text output alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Value = str | int | float | None


@dataclass(frozen=True)  # no slots: with them Python 3.11 cannot call `Column[T](…)`
class Column(Generic[T]):
    """One column of a table of T."""

    id: str
    """Stable name, as `--sort` and `--filter` have it: `cpu.busy_cores`."""
    title: str
    value: Callable[[T], Value]
    """What is sorted and filtered by; None is unknown."""
    show: Callable[[T], str] | None = None
    """The cell's text; without it the value itself."""
    unit: str | None = None
    """`bytes`, `cores`, `seconds`, `bytes/s`…"""
    width: int = 12
    align: Literal["left", "right"] = "left"
    help: str = ""

    def text(self, item: T) -> str:
        """Return the cell's text; a value that is not known is a dash."""
        value = self.value(item)
        if value is None:
            return "–"  # noqa: RUF001 - an en dash is what the screens show for "unknown"
        return self.show(item) if self.show is not None else str(value)
