"""What all dialogs have in common: a small box in the middle, Cancel focused, the same command below."""

from typing import ClassVar, Final, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button

from screens.widgets import cells
from screens.widgets.bars import Bar
from screens.widgets.lines import Lines

_BOX: Final = 72
"""Cells that the box takes where there is room, as `app.tcss` has it."""

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A question. Escape answers it with nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "cancel", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#cancel"

    def __init__(self, title: str, *, agree: str = "OK", dangerous: bool = False) -> None:
        super().__init__()
        self._title = title
        self._agree = agree
        self._dangerous = dangerous

    def compose(self) -> ComposeResult:
        """Lay the box out around the question."""
        with Vertical(classes="box"):
            yield Bar(id="dialog-title")
            yield from self.question()
            yield Bar(id="dialog-problem")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(
                    self._agree,
                    id="agree",
                    variant="error" if self._dangerous else "primary",
                    compact=True,
                )
            yield Lines(id="dialog-command", focusable=False)

    def question(self) -> ComposeResult:
        """Lay the question out."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Show the title."""
        self.query_one("#dialog-title", Bar).show(((self._title, "bold"),))

    def command(self, text: str) -> None:
        """Show the command line that does the same, where there is one."""
        lines = self.query_one("#dialog-command", Lines)
        lines.display = bool(text)
        room = max(16, min(_BOX, self.app.size.width * 96 // 100) - 4)
        rows = cells.wrapped(text, room - 2)
        lines.styles.height = len(rows)
        lines.show(
            lambda _: [
                (("$ " if not place else "  ", "dim"), (row, "accent"))
                for place, row in enumerate(rows)
            ]
        )

    def problem(self, text: str) -> None:
        """Say what is wrong with the answer."""
        self.query_one("#dialog-problem", Bar).show((("✖ " + text, "failed"),) if text else ())

    def agree(self) -> None:
        """Take the answer."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Answer with nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#cancel")
    def _cancelled(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#agree")
    def _agreed(self) -> None:
        self.agree()
