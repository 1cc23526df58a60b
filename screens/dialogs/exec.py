"""Asks which command to run inside a container."""

import shlex
from collections.abc import Callable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Label

from screens.dialogs.base import Dialog


class ExecDialog(Dialog[tuple[str, ...]]):
    """One line for the command; the terminal is the command's until it ends."""

    AUTO_FOCUS = "#exec-command"

    def __init__(self, name: str, equivalent: Callable[[Sequence[str]], Sequence[str]]) -> None:
        super().__init__(f"Run a command in {name}", agree="Run")
        self._equivalent = equivalent

    def question(self) -> ComposeResult:
        """The command."""
        yield Label("It takes this terminal until it ends.", markup=False)
        yield Input("sh", placeholder="sh", id="exec-command", compact=True)

    def on_mount(self) -> None:
        """Show what it means."""
        super().on_mount()
        self._check()

    @on(Input.Changed)
    def _check(self) -> tuple[str, ...] | None:
        try:
            command = tuple(shlex.split(self.query_one(Input).value)) or ("sh",)
        except ValueError as problem:
            self.problem(f"the command does not end well: {str(problem).lower()}")
            return None
        self.problem("")
        self.command(shlex.join(self._equivalent(command)))
        return command

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.agree()

    def agree(self) -> None:
        """Answer with the command, if it is one."""
        command = self._check()
        if command is not None:
            self.dismiss(command)
