"""The lines around every screen: the title, the tabs, the state of the sample with the keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from screens.widgets import cells
from screens.widgets.cells import Line, Piece
from screens.widgets.drawn import Drawn


class Bar(Drawn, Widget):
    """One line: a left part, which is cut, and a right part, which is shown whole or not at all."""

    DEFAULT_CSS = """
    Bar { height: 1; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._left: Line = ()
        self._right: Line = ()

    def show(self, left: Line, right: Line = ()) -> None:
        """Show these; nothing is drawn anew where they are what is there."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw the line."""
        width = self.size.width
        if y:
            return Strip.blank(width, self.rich_style)
        right = self._right
        taken = cells.length(right)
        if taken + 1 > width:
            right, taken = (), 0
        left = cells.fit(self._left, width - taken)
        return cells.strip((*left, *right), width, self.tone)


_ROOMY: Final = 100


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab: the key that leads to it, its name, its title."""

    key: str
    name: str
    title: str


class Tabs(Bar):
    """The screens, and which one is in front; a click goes to one."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, tabs: Sequence[Tab], current: str) -> None:
        super().__init__(id="tabs")
        self._tabs = tabs
        self._current = current
        self._spans: list[tuple[int, int, str]] = []

    def on_resize(self) -> None:
        """Lay the tabs out; name as many of the common keys as there is room for, help first."""
        gap = " " if self.size.width >= _ROOMY else ""
        pieces: list[Piece] = [(gap, "plain")]
        self._spans = []
        left = len(gap)
        for tab in self._tabs:
            text = f" {tab.key} {tab.title} "
            here = tab.name == self._current
            pieces.append((text, "cursor" if here else "dim"))
            pieces.append((gap, "plain"))
            self._spans.append((left, left + len(text), tab.name))
            left += len(text) + len(gap)
        keys = (("?", "help"), ("/", "filter"), (":", "commands"))
        room = max(0, self.size.width - left)
        self.show(tuple(pieces), fitting_hints(keys, room))

    def on_click(self, event: Click) -> None:
        """Go to the tab that was clicked."""
        for start, end, name in self._spans:
            if start <= event.x < end:
                self.post_message(self.Chosen(name))


def hints(keys: Sequence[tuple[str, str]]) -> Line:
    """Return key hints as `Enter open  s start`."""
    pieces: list[Piece] = []
    for key, title in keys:
        pieces.append((key, "accent"))
        pieces.append((f" {title}  ", "dim"))
    return tuple(pieces)


def fitting_hints(keys: Sequence[tuple[str, str]], width: int) -> Line:
    """Return as many of the first hints as fit whole."""
    chosen: Sequence[tuple[str, str]] = keys
    while chosen and cells.length(hints(chosen)) > width:
        chosen = chosen[:-1]
    return hints(chosen)
