"""Shows a longer text: help, the body of an event, an error in full."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from screens.widgets.bars import Bar
from screens.widgets.cells import Line
from screens.widgets.lines import Lines


class TextDialog(ModalScreen[None]):
    """A title and lines that scroll; Escape, Enter and q close it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark", "dismiss", "close", show=False)
    ]

    def __init__(self, title: str, build: Callable[[int], Sequence[Line]]) -> None:
        super().__init__()
        self._title = title
        self._build = build

    def compose(self) -> ComposeResult:
        """Lay the box out."""
        with Vertical(classes="box wide"):
            yield Bar(id="dialog-title")
            yield Lines(id="text")
            yield Bar(id="dialog-command")

    def on_mount(self) -> None:
        """Fill it, as high as the text is."""
        self.query_one("#dialog-title", Bar).show(((self._title, "bold"),))
        lines = self.query_one("#text", Lines)
        wanted = len(self._build(80)) + 5
        self.query_one(".box").styles.height = min(wanted, max(8, self.app.size.height - 2))
        lines.show(self._build)
        lines.focus()
        self.query_one("#dialog-command", Bar).show(
            (
                ("Esc", "accent"),
                (" closes", "dim"),
            )
        )
