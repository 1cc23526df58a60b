"""Asks for one of a list: a column to sort by, a signal to send, a container to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual import on
from textual.app import ComposeResult

from inspector.columns import Column
from screens.dialogs.base import Dialog
from screens.widgets.frame_table import FrameTable
from screens.widgets.table_columns import Shown


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: what it is, how it is called, what it does."""

    key: str
    title: str
    help: str = ""


_TITLE: Final = Column[Choice]("title", "", lambda one: one.title, width=16)
_HELP: Final = Column[Choice]("help", "", lambda one: one.help, width=20)


class ChooseDialog(Dialog[str]):
    """A list; Enter takes what is under the cursor."""

    AUTO_FOCUS = "#choices"

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        *,
        current: str | None = None,
        command: str = "",
    ) -> None:
        super().__init__(title, agree="Choose")
        self._choices = choices
        self._current = current
        self._command = command

    def question(self) -> ComposeResult:
        """The list."""
        columns = (
            Shown(column=_TITLE, priority=0, sortable=False, grow=1, most=36),
            Shown(
                column=_HELP,
                priority=1,
                sortable=False,
                grow=2,
                paint=lambda one, _: ((one.help, "dim"),),
            ),
        )
        table: FrameTable[Choice] = FrameTable(columns, lambda one: one.key, id="choices")
        table.styles.height = min(16, len(self._choices) + 1)
        yield table

    def on_mount(self) -> None:
        """Fill it."""
        super().on_mount()
        table = self.query_one("#choices", FrameTable)
        table.show(self._choices)
        if self._current is not None:
            table.select(self._current)
        self.command(self._command)

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
