"""The help text, made from the bindings that are in force where it is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from textual.binding import ActiveBinding

from screens.verdict import MARKS, MEANINGS
from screens.widgets import cells
from screens.widgets.cells import Line

_NOTE: Final = 54
"""Cells that fit beside a note's word where the box is as narrow as 80 columns make it."""
_HIDDEN: Final = frozenset({"ctrl+q", "super+c"})
_SIDEWAYS: Final = ("scroll_left", "scroll_right", "page_left", "page_right", "screen.")
"""Actions that scrolling widgets come with and that do nothing here."""
_NAMES: Final = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "home": "Home",
    "end": "End",
    "plus": "+",
    "minus": "-",
    "exclamation_mark": "!",
}


def key_name(key: str) -> str:
    """Return how a key is written on it."""
    return _NAMES.get(key, key)


def help_lines(
    bindings: Mapping[str, ActiveBinding], notes: Sequence[tuple[str, str]] = ()
) -> list[Line]:
    """Return the keys by what they are for, what numbers and marks mean, what can be filtered by."""
    groups: dict[str, dict[str, list[str]]] = {}
    for key, active in bindings.items():
        if key in _HIDDEN or not active.binding.description:
            continue
        if active.binding.action.startswith(_SIDEWAYS):
            continue
        heading = _heading(active)
        text = active.binding.tooltip or active.binding.description
        groups.setdefault(heading, {}).setdefault(text, []).append(key_name(key))
    lines: list[Line] = []
    for heading in sorted(groups, key=_ORDER.index):
        lines += [cells.BLANK, ((f" {heading}", "title"),)]
        for text, keys in groups[heading].items():
            lines.append((("  ", "plain"), (f"{'  '.join(keys):<18} ", "accent"), (text, "plain")))
    return [*lines[1:], *_notes(notes), *_marks(), *_filters()]


_ORDER: Final = (
    "ACT ON THE SELECTED CONTAINER",
    "SEE IT THROUGH ANOTHER WINDOW",
    "HERE",
    "EVERYWHERE",
)


def _heading(active: ActiveBinding) -> str:
    action = active.binding.action
    if action.startswith("act("):
        return _ORDER[0]
    if action.startswith("window("):
        return _ORDER[1]
    return _ORDER[3] if active.node.is_attached and active.node.parent is None else _ORDER[2]


def _notes(notes: Sequence[tuple[str, str]]) -> Iterable[Line]:
    if notes:
        yield cells.BLANK
        yield ((" WHAT IT MEANS", "title"),)
    for word, text in notes:
        rows = cells.wrapped(text, _NOTE)
        for place, row in enumerate(rows):
            yield (("  ", "plain"), (f"{word if not place else '':<18} ", "bold"), (row, "plain"))


def _marks() -> Iterable[Line]:
    yield cells.BLANK
    yield ((" MARKS", "title"), ("  colour says state, and nothing else", "dim"))
    for tone, text in MEANINGS:
        yield ((f"  {MARKS[tone]} ", tone), (text, "plain"))
    yield (("  ⊥ ", "plain"), ("the limit that binds: its own, or an ancestor's", "plain"))
    yield (("  – ", "plain"), ("not known: a rate needs two samples", "plain"))  # noqa: RUF001 - the mark itself


def _filters() -> Iterable[Line]:
    yield cells.BLANK
    yield ((" FILTER", "title"), ("  every word must hold", "dim"))
    for example, text in (
        ("web", "has it in a name, an image, a command"),
        ("engine=docker", "a column's value, or a label's"),
        ("cpu>0.5 memory>100M", "more or less than"),
        ("/^api-[0-9]+/", "a regular expression"),
        ("!paused", "not"),
    ):
        yield (("  ", "plain"), (f"{example:<20} ", "accent"), (text, "plain"))
