"""Graphs over time in braille dots: pure functions from samples to lines of text.

A cell is two samples wide and four dots high. The newest sample is at the right end, so graphs of the same width that
stand beside each other share one time axis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from inspector import units
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone

_BLANK_DOTS: Final = 0x2800
_LEFT: Final = (0x40, 0x04, 0x02, 0x01)
"""Bits of a cell's left dots from the lowest to the highest (Unicode braille patterns)."""
_RIGHT: Final = (0x80, 0x20, 0x10, 0x08)
_NEAR: Final = 0.9
"""From this share of the limit on, use is drawn as pressed."""
_TALL: Final = 9
"""From twice this height on, two rows of wider graphs show more than one of narrow ones."""
_HEADROOM: Final = 1.4
"""How far the scale reaches above the highest value: what is steady shows as steady, not as full."""
_IN_VIEW: Final = 4.0
"""A limit further than this many times the highest value is named, not drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What one graph shows."""

    title: str
    values: Sequence[float | None]
    """Oldest first, one for each sample."""
    show: Callable[[float], str]
    limit: float | None = None
    limited_by: str = ""
    """Whose limit it is, in words."""
    marks: frozenset[int] = frozenset()
    """Places in `values` where something struck: an OOM kill."""
    mark_text: str = ""
    interval: float = 1.0
    """Seconds between two samples."""
    floor: float = 0.0
    """The least that the scale reaches up to."""


def graph(plot: Plot, width: int, height: int) -> list[Line]:
    """Return the graph as `height` lines of `width` cells: a title, the dots, the time axis."""
    rows = max(1, height - 2)
    axis = 6 if width >= 24 else 0
    inner = max(1, width - axis)
    count = inner * 2
    tail = plot.values[-count:]
    padding: list[float | None] = [None] * (count - len(tail))
    values = [*padding, *tail]
    marks = {place - len(plot.values) + count for place in plot.marks}
    top = _top(plot, values)
    lines = [_title(plot, width)]
    limit_row = _limit_row(plot, top, rows)
    for row in range(rows):
        label = ""
        if row == 0:
            label = plot.show(top)
        elif row == rows - 1:
            label = "0"
        pieces: list[Piece] = [(f"{label:>{axis - 1}} ", "dim")] if axis else []
        pieces += _dots(values, marks, plot, (row, rows, top, limit_row))
        lines.append(tuple(pieces))
    if height >= 3:
        lines.append(_time_axis(plot, inner, axis))
    fitted: list[Line] = [cells.fit(line, width) for line in lines[:height]]
    return fitted


def beside(panels: Sequence[Sequence[Line]], width: int, gap: int = 2) -> list[Line]:
    """Return panels of equal width side by side, `gap` cells between them."""
    height = max((len(panel) for panel in panels), default=0)
    lines: list[Line] = []
    for row in range(height):
        pieces: list[Piece] = []
        for panel in panels:
            if pieces:
                pieces.append((" " * gap, "plain"))
            pieces += cells.fit(panel[row] if row < len(panel) else (), width)
        lines.append(tuple(pieces))
    return lines


def grid(plots: Sequence[Plot], width: int, height: int, *, least: int = 26) -> list[Line]:
    """Return as many graphs as there is room for, in rows of equal ones, the most important first."""
    if not plots or width < 8 or height < 2:
        return []
    across = max(1, min(len(plots), (width + 2) // (least + 2)))
    wanted = max(-(-len(plots) // across), min(len(plots), height // _TALL))
    down = max(1, min(wanted, height // 4))
    across = min(across, -(-len(plots) // down))
    each_width = (width - 2 * (across - 1)) // across
    each_height = height // down
    lines: list[Line] = []
    for row in range(down):
        chosen = plots[row * across : (row + 1) * across]
        lines += beside([graph(one, each_width, each_height) for one in chosen], each_width)
    return lines


def _top(plot: Plot, values: Sequence[float | None]) -> float:
    highest = max([plot.floor, *(value for value in values if value is not None)])
    if plot.limit is not None and highest * _IN_VIEW >= plot.limit:
        return max(plot.limit * 1.1, highest) or 1.0
    return highest * _HEADROOM if highest > 0 else 1.0


def _limit_row(plot: Plot, top: float, rows: int) -> int | None:
    if plot.limit is None or plot.limit > top:
        return None
    return max(0, rows - 1 - int(plot.limit / top * rows))


def _title(plot: Plot, width: int) -> Line:
    latest = next((value for value in reversed(plot.values) if value is not None), None)
    pieces: list[Piece] = [(plot.title, "title"), (" ", "plain")]
    pieces.append(cells.UNKNOWN if latest is None else (plot.show(latest), "bold"))
    if plot.marks and plot.mark_text:
        pieces.append((f" ✖ {plot.mark_text}", "failed"))
    if plot.limit is not None:
        text = f" ⊥ {plot.show(plot.limit)}"
        near = latest is not None and latest >= plot.limit * _NEAR
        pieces.append((text, "pressed" if near else "plain"))
        if plot.limited_by and cells.length(pieces) + len(plot.limited_by) < width:
            pieces.append((f" {plot.limited_by}", "dim"))
    return tuple(pieces)


def _dots(
    values: Sequence[float | None],
    marks: set[int],
    plot: Plot,
    place: tuple[int, int, float, int | None],
) -> list[Piece]:
    row, rows, top, limit_row = place
    base = (rows - 1 - row) * 4
    pieces: list[Piece] = []
    for index in range(0, len(values), 2):
        left, right = values[index], values[index + 1]
        code = _column(left, base, rows, top, _LEFT) | _column(right, base, rows, top, _RIGHT)
        tone: Tone = "accent"
        peak = max((value for value in (left, right) if value is not None), default=0.0)
        if plot.limit is not None and peak >= plot.limit * _NEAR:
            tone = "pressed"
        if row == 0 and (index in marks or index + 1 in marks):
            pieces.append(("✖", "failed"))
        elif code:
            pieces.append((chr(_BLANK_DOTS + code), tone))
        elif row == limit_row:
            pieces.append(("╌", "pressed"))
        else:
            pieces.append((" ", "plain"))
    return _merged(pieces)


def _column(value: float | None, base: int, rows: int, top: float, bits: Sequence[int]) -> int:
    if value is None:
        return 0
    height = round(max(0.0, value) / top * rows * 4) if top > 0 else 0
    if base == 0:
        height = max(1, height)
    return sum(bit for dot, bit in enumerate(bits) if base + dot < height)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    merged: list[Piece] = []
    for value, tone in pieces:
        if merged and merged[-1][1] == tone:
            merged[-1] = (merged[-1][0] + value, tone)
        else:
            merged.append((value, tone))
    return merged


def _time_axis(plot: Plot, inner: int, axis: int) -> Line:
    span = units.long_duration(inner * 2 * plot.interval)
    left, right = f"{span} ago", "now"
    if inner < len(left) + len(right) + 4:
        left = ""
    rule = "─" * max(0, inner - len(left) - len(right) - 2)
    return ((" " * axis, "plain"), (f"{left} {rule} {right}", "dim"))
