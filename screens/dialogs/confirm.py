"""Asks before something that hurts."""

from collections.abc import Sequence

from textual.app import ComposeResult

from screens.dialogs.base import Dialog
from screens.widgets.cells import Line
from screens.widgets.lines import Lines


class ConfirmDialog(Dialog[bool]):
    """Says what will happen, and asks whether it should."""

    def __init__(self, title: str, text: Sequence[Line], *, agree: str, command: str) -> None:
        super().__init__(title, agree=agree, dangerous=True)
        self._text = text
        self._command = command

    def question(self) -> ComposeResult:
        """What will happen."""
        yield Lines(id="dialog-text", focusable=False)

    def on_mount(self) -> None:
        """Show it."""
        super().on_mount()
        lines = self.query_one("#dialog-text", Lines)
        lines.styles.height = len(self._text) + 1
        lines.show(lambda _: self._text)
        self.command(self._command)

    def agree(self) -> None:
        """Yes."""
        self.dismiss(True)  # noqa: FBT003 - the answer itself
