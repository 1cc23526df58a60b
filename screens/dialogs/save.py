"""Asks where a copy of a container's file goes."""

import posixpath
from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Label

from screens import safe
from screens.dialogs.base import Dialog


class SaveDialog(Dialog[str]):
    """A path on this host; nothing that is there is replaced without a question."""

    AUTO_FOCUS = "#save-path"

    def __init__(self, path: str, command: Callable[[str], str]) -> None:
        super().__init__(f"Save {path}", agree="Save")
        name = safe.text(posixpath.basename(path)).replace("\\", "_")
        self._proposed = f"./{name}"
        self._command = command

    def question(self) -> ComposeResult:
        """The path."""
        yield Label("To this path of this host, relative to where cinspect was started:")
        yield Input(self._proposed, id="save-path", compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        """Show what it means."""
        super().on_mount()
        self._check()

    @on(Input.Changed)
    def _check(self) -> str | None:
        path = self.query_one(Input).value.strip()
        if not path:
            self.problem("no path: say where the copy goes")
            return None
        self.problem("")
        self.command(self._command(path))
        return path

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.agree()

    def agree(self) -> None:
        """Answer with the path, if there is one."""
        path = self._check()
        if path is not None:
            self.dismiss(path)
