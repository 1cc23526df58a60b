"""The dialog: what is typed is asked with Enter, and Enter again goes to the container."""

import shlex
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Input

from inspector.errors import Failure
from inspector.owner.model import Report
from screens.dialogs.base import Dialog
from screens.owner.report import examples, report_lines
from screens.widgets.lines import Lines

Ask = Callable[[str], Awaitable[Report]]
"""Answers one WHAT; raises `Failure` for what cannot be one."""


class OwnerDialog(Dialog[str]):
    """Asks who owns something; its answer is the id of the container to show."""

    AUTO_FOCUS = "#owner-what"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "other(1)", show=False),
        Binding("up", "other(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
    ]

    def __init__(self, ask: Ask) -> None:
        super().__init__("Who owns this?", agree="Ask")
        self._ask = ask
        self._report: Report | None = None
        self._chosen = 0

    def question(self) -> ComposeResult:
        """What to look for, and below it what was found."""
        yield Input(
            placeholder="a pid, a port, a path, a veth, an inode…", id="owner-what", compact=True
        )
        yield Lines(id="owner-answer", focusable=False)

    def on_mount(self) -> None:
        """Show what can be typed."""
        super().on_mount()
        self.query_one("#owner-answer", Lines).show(lambda _: examples())
        self.command("cinspect owner WHAT")

    @property
    def _what(self) -> str:
        return self.query_one(Input).value.strip()

    @on(Input.Changed)
    def _typed(self) -> None:
        self.problem("")
        self.command(shlex.join(("cinspect", "owner", self._what or "WHAT")))
        self._name_button()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.agree()

    def agree(self) -> None:
        """Ask; of what was asked already, go to the chosen owner."""
        report = self._report
        if report is not None and report.what == self._what and report.owners:
            self.dismiss(report.owners[self._chosen].id)
        elif self._what:
            self._find(self._what)

    def action_other(self, step: int) -> None:
        """Choose another one of several owners."""
        if self._report is not None and self._report.owners:
            self._chosen = (self._chosen + step) % len(self._report.owners)
            self._show()

    def action_page(self, step: int) -> None:
        """Scroll the answer."""
        lines = self.query_one("#owner-answer", Lines)
        lines.scroll_relative(y=step * max(1, lines.size.height - 1), animate=False)

    @work(exclusive=True)
    async def _find(self, what: str) -> None:
        self.problem("")
        try:
            report = await self._ask(what)
        except Failure as failure:
            self.problem(str(failure))
            return
        self._report, self._chosen = report, 0
        self._show()

    def _show(self) -> None:
        report, chosen = self._report, self._chosen
        if report is None:
            return
        lines = self.query_one("#owner-answer", Lines)
        lines.show(lambda width: report_lines(report, chosen, width))
        lines.scroll_home(animate=False)
        self._name_button()

    def _name_button(self) -> None:
        asked = self._report is not None and self._report.what == self._what
        leads = asked and self._report is not None and bool(self._report.owners)
        self.query_one("#agree", Button).label = "Show it" if leads else "Ask"
