"""Pieces of coloured text: what a cell, a row of a detail pane or a title is made of before it has a width."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, get_args

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from screens import safe

Tone = Literal[
    "plain",
    "dim",
    "bold",
    "title",
    "accent",
    "ok",
    "paused",
    "stopped",
    "pressed",
    "failed",
    "cursor",
    "cursor-blurred",
]
"""How a piece looks. Colour means state only: ok, paused, stopped, pressed, failed."""

TONES: Final[tuple[Tone, ...]] = get_args(Tone)
Piece = tuple[str, Tone]
Line = tuple[Piece, ...]
Styles = Callable[[Tone], Style]

UNKNOWN: Final[Piece] = ("–", "dim")  # noqa: RUF001 - a dash is what stands for unknown
BLANK: Final[Line] = ()


def plain(value: str) -> Line:
    """Return a line of one plain piece."""
    return ((value, "plain"),)


def dim(value: str) -> Line:
    """Return a line of one piece that steps back."""
    return ((value, "dim"),)


def length(line: Iterable[Piece]) -> int:
    """Return the cells a line takes."""
    return sum(safe.width(value) for value, _ in line)


def fit(line: Sequence[Piece], cells: int, *, right: bool = False) -> Line:
    """Return the line in exactly `cells` cells; what does not fit ends in an ellipsis."""
    if cells <= 0:
        return ()
    needed = length(line)
    if needed <= cells:
        padding: Piece = (" " * (cells - needed), "plain")
        return (padding, *line) if right else (*line, padding)
    kept: list[Piece] = []
    left = cells
    for value, tone in line:
        taken = safe.width(value)
        if taken >= left:
            last = safe.fit(value, left) if taken > left else _ending(safe.text(value))
            kept.append((last, tone))
            break
        kept.append((value, tone))
        left -= taken
    return tuple(kept)


def _ending(value: str) -> str:
    """Return a text that fits exactly, though something follows that does not, ending in an ellipsis."""
    cells = cell_len(value)
    cut = set_cell_size(value, cells - 1) + safe.ELLIPSIS
    return cut + " " * (cells - cell_len(cut))


def strip(line: Sequence[Piece], cells: int, styles: Styles, over: Style | None = None) -> Strip:
    """Return the line as a strip of exactly `cells` cells; `over` lies on top of every piece's style.

    This is where every text reaches the terminal, so this is where it is made safe.
    """
    segments: list[Segment] = []
    for value, tone in fit(line, cells):
        style = styles(tone)
        segments.append(Segment(safe.text(value), style + over if over is not None else style))
    return Strip(segments, cells)


def wrapped(value: str, cells: int) -> list[str]:
    """Return a safe text in lines of at most `cells` cells, broken at spaces where there are any; at least one."""
    rows: list[str] = []
    row = ""
    for word in safe.text(value).split(" "):
        left = word
        while cell_len(left) > cells:
            if row:
                rows.append(row)
                row = ""
            head = set_cell_size(left, cells).rstrip(" ") or left[0]
            rows.append(head)
            left = left[len(head) :]
        if not row:
            row = left
        elif cell_len(row) + 1 + cell_len(left) <= cells:
            row = f"{row} {left}"
        else:
            rows.append(row)
            row = left
    return [*rows, row] if row or not rows else rows


def bar(ratio: float, cells: int) -> str:
    """Return a bar of `cells` cells in eighths, framed by its ends."""
    inner = max(1, cells - 2)
    eighths = round(max(0.0, min(1.0, ratio)) * inner * 8)
    if ratio > 0:
        eighths = max(1, eighths)
    full, part = divmod(eighths, 8)
    drawn = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return f"▕{drawn:<{inner}}▏"


SPARKS: Final = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float | None], *, top: float | None = None) -> str:
    """Return a block for each value, the highest at `top` or at the largest value; an unknown one is a space."""
    known = [value for value in values if value is not None]
    ceiling = max([top or 0.0, *known], default=0.0)
    return "".join(
        " "
        if value is None
        else SPARKS[0]
        if ceiling <= 0
        else SPARKS[min(len(SPARKS) - 1, int(max(0.0, value) / ceiling * len(SPARKS)))]
        for value in values
    )


def bucket(values: Sequence[float | None], count: int) -> tuple[float | None, ...]:
    """Return `count` means over neighbouring values; unknown ones are left out of a mean."""
    if count <= 0 or not values:
        return ()
    size = len(values) / count
    means: list[float | None] = []
    for index in range(count):
        part = values[int(index * size) : max(int(index * size) + 1, int((index + 1) * size))]
        known = [value for value in part if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return tuple(means)
