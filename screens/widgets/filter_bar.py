"""Where a filter is typed: one line that is there only while it is needed."""

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

from screens.widgets.bars import Bar

if TYPE_CHECKING:
    from screens.widgets.cells import Line


class Typed(Input):
    """Takes keys up to Enter: what comes in the same instant after it is for whoever gets the keyboard."""

    over = False
    """Whether Enter was seen, though the focus has not moved yet."""

    async def _on_key(self, event: Key) -> None:
        if self.over:
            event.stop()
            event.prevent_default()
            self.app.post_message(Key(event.key, event.character))
            return
        self.over = event.key == "enter"
        await super()._on_key(event)


class FilterBar(Horizontal):
    """A `/`, the text, and what is wrong with it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; display: none; }
    FilterBar.-open { display: block; }
    FilterBar > #filter-mark { width: 3; }
    FilterBar > Input { width: 1fr; border: none; height: 1; padding: 0; background: transparent; }
    FilterBar > Input:focus { border: none; }
    FilterBar > #filter-note { width: 2fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "clear the filter", show=False),
    ]

    class Changed(Message):
        """Another text is in it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The typing is over; the text stays in force."""

    def compose(self) -> ComposeResult:
        """Lay the line out."""
        yield Bar(id="filter-mark")
        yield Typed(select_on_focus=False, compact=True)
        yield Bar(id="filter-note")

    def on_mount(self) -> None:
        """Show the mark."""
        self.query_one("#filter-mark", Bar).show(((" / ", "accent"),))
        self.note("")

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def open(self) -> None:
        """Begin typing."""
        self.add_class("-open")
        typed = self.query_one(Typed)
        typed.over = False
        self.screen.set_focus(typed)

    def clear(self) -> None:
        """Throw the text away, and go."""
        self.query_one(Input).value = ""
        self.remove_class("-open")

    def note(self, problem: str) -> None:
        """Say what is wrong, or what may be typed."""
        line: Line = (
            ((problem, "failed"),)
            if problem
            else (("words  key=value  cpu>0.5  memory>100M  /regex/  !not", "dim"),)
        )
        self.query_one("#filter-note", Bar).show(line)

    def action_cancel(self) -> None:
        """Throw the text away."""
        self.clear()
        self.post_message(self.Closed())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not event.value:
            self.remove_class("-open")
        self.post_message(self.Closed())
