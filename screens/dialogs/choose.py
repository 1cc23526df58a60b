"""Asks for one of a list: a column to sort by, a signal to send, a container to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from inspector.columns import Column
from screens import safe
from screens.dialogs.base import Dialog
from screens.widgets.frame_table import FrameTable
from screens.widgets.table_columns import Shown


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: what it is, how it is called, what it does."""

    key: str
    title: str
    help: str = ""


_TITLE: Final = Column[Choice]("title", "", lambda one: one.title, width=8)
_HELP: Final = Column[Choice]("help", "", lambda one: one.help, width=20)


class ChoiceTable(FrameTable[Choice]):
    """A list without titles."""

    TITLE_LINES = 0


class ChooseDialog(Dialog[str]):
    """A list; Enter takes what is under the cursor."""

    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        current: str | None = None,
        command: str = "",
        agree: str = "Choose",
    ) -> None:
        super().__init__(title, agree=agree, dangerous=bool(command))
        self._choices = choices
        self._current = current
        self._command = command

    def question(self) -> ComposeResult:
        """The list."""
        columns = (
            Shown(column=_TITLE, priority=0, sortable=False, grow=1, most=self._widest()),
            Shown(
                column=_HELP,
                priority=1,
                sortable=False,
                grow=2,
                paint=lambda one, _: ((one.help, "dim"),),
            ),
        )
        table = ChoiceTable(columns, lambda one: one.key, id="choices")
        table.styles.height = min(16, len(self._choices))
        yield table

    def _widest(self) -> int:
        return min(36, max((safe.width(one.title) for one in self._choices), default=8) + 2)

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        table = self.query_one("#choices", FrameTable)
        table.show(self._choices)
        if self._current is not None:
            table.select(self._current)
        self.command(self._command)

    def action_move(self, by: int) -> None:
        """Move in the list."""
        self.query_one("#choices", FrameTable).action_move(by)

    def agree(self) -> None:
        """Take what is under the cursor."""
        self.dismiss(self.query_one("#choices", FrameTable).selected_key)

    @on(FrameTable.Opened)
    def _opened(self) -> None:
        self.agree()

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        if self._command and message.key is not None:
            self.command(self._command.replace("{}", message.key))


class ActDialog(ChooseDialog):
    """A list whose answer does something: Cancel has the focus, and the arrows move in the list all the same."""

    AUTO_FOCUS = "#cancel"
