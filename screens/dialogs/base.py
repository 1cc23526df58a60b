"""What all dialogs have in common: a small box in the middle, Cancel focused, the same command below."""

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button

from screens.widgets.bars import Bar

if TYPE_CHECKING:
    from screens.widgets.cells import Line

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
            yield Bar(id="dialog-command")

    def question(self) -> ComposeResult:
        """Lay the question out."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Show the title."""
        self.query_one("#dialog-title", Bar).show(((self._title, "bold"),))

    def command(self, text: str) -> None:
        """Show the command line that does the same."""
        line: Line = (("$ ", "dim"), (text, "accent")) if text else ()
        self.query_one("#dialog-command", Bar).show(line)

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
