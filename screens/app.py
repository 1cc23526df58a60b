"""The application: receives frames and hands them to the screen in front."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from rich.segment import Segment, Segments
from textual import events, on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.widgets import Input

from inspector.control import Control
from inspector.domains.containers.model import Container
from inspector.history import History
from inspector.owner.ask import Looker, on_frame
from inspector.owner.model import Report
from inspector.source import FrameSource
from screens import safe, theme
from screens.actions import Actions
from screens.base import TABS, SubjectScreen
from screens.dialogs.text import TextDialog
from screens.event_log import EventLog
from screens.header import problem_lines
from screens.help import help_lines
from screens.messages import FrameReady, SourceEnded, SourceFailed
from screens.moment import Moment
from screens.owner.dialog import OwnerDialog
from screens.palette import CinspectCommands
from screens.registry import SCREENS
from screens.shell import Vitals

_RETRY_SECONDS: Final = 5.0
_NAMES: Final = 10_000
"""Names of containers that are remembered."""


class CinspectApp(App[None]):
    """Owns the frame source and the current moment; knows no subject."""

    TITLE = "cinspect"
    CSS_PATH = "app.tcss"
    ALLOW_SELECT = False
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {CinspectCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(tab.key, f"go('{tab.name}')", tab.title, show=False) for tab in TABS),
        Binding("colon", "command_palette", "commands", show=False, key_display=":"),
        Binding("ctrl+p", "command_palette", "commands", show=False, priority=True),
        Binding("question_mark", "help", "this help", show=False, key_display="?"),
        Binding("space", "pause", "pause, or go on with live samples", show=False),
        Binding(
            "exclamation_mark", "problems", "what could not be read", show=False, key_display="!"
        ),
        Binding("W", "owner", "who owns a pid, a port, a path…?", show=False),
        Binding("q", "quit", "quit", show=False),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        source: FrameSource,
        control: Control,
        *,
        read_only: bool = False,
        looker: Looker = on_frame,
        select: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Without colour the terminal's own are the only ones, and then none is sent at all.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._source = source
        self._control = control
        self._looker = looker
        self._clock = clock
        self._actions = None if read_only or control.read_only else Actions(self, control)
        self._history = History()
        self._event_log = EventLog()
        self._moment: Moment | None = None
        self._waiting: Moment | None = None
        self._arrived: float | None = None
        self._paused = False
        self._ended = False
        self._problem = ""
        self._chosen = select
        self._targets: dict[str, str] = {} if select is None else {SCREENS[0].NAME: select}
        self._trail: list[str] = []
        self._names: dict[str, str] = {}
        for one in (theme.NIGHT, theme.SIXTEEN):
            self.register_theme(one)
        self.theme = theme.fitting(self.console.color_system, no_color=self.no_color)
        for screen in SCREENS:
            self.add_mode(screen.NAME, partial(screen, may_act=self.may_act))

    @property
    def moment(self) -> Moment | None:
        """What is shown now; None before the first frame."""
        return self._moment

    @property
    def control(self) -> Control:
        """What acts on containers."""
        return self._control

    @property
    def may_act(self) -> bool:
        """Whether actions are offered."""
        return self._actions is not None

    @property
    def chosen(self) -> str | None:
        """Id of the container that was selected last."""
        return self._chosen

    @property
    def vitals(self) -> Vitals:
        """How the sampling itself is."""
        cost = self._moment.frame.cost if self._moment else None
        interval = max(0.1, self._source.interval)
        return Vitals(
            age=None if self._arrived is None else max(0.0, self._clock() - self._arrived),
            interval=interval,
            paused=self._paused,
            ended=self._ended,
            problem=self._problem,
            # One that takes longer than the interval holds the next one up.
            cpu_ratio=cost.cpu_seconds / max(interval, cost.wall_seconds) if cost else 0.0,
            files=cost.files_read if cost else 0,
            errors=len(self._moment.frame.errors) if self._moment else 0,
        )

    def on_mount(self) -> None:
        """Show the first screen and start listening."""
        self.switch_mode(SCREENS[0].NAME)
        self._listen()

    @work(exclusive=True, group="frames")
    async def _listen(self) -> None:
        try:
            async for frame in self._source.frames():
                self.post_message(FrameReady(frame))
        except Exception as problem:  # noqa: BLE001 - a source is one of the three boundaries
            self.post_message(SourceFailed(f"{type(problem).__name__}: {problem}"))
        else:
            self.post_message(SourceEnded())

    async def on_event(self, event: events.Event) -> None:
        """Give what was typed in the same instant as the key that opened an input to that input.

        An input keeps what can be printed: such a key comes up here from where the focus was before.
        """
        if (
            isinstance(event, events.Key)
            and event.is_forwarded
            and event.is_printable
            and isinstance(self.focused, Input)
        ):
            self.post_message(events.Key(event.key, event.character))
        else:
            await super().on_event(event)

    @on(FrameReady)
    def _keep(self, message: FrameReady) -> None:
        frame = message.frame
        self._history.add(frame)
        self._event_log.add(frame)
        self._problem = ""
        moment = Moment(
            frame,
            self._history,
            self._event_log.snapshot(),
            self._source.interval,
            self._names,
        )
        self._remember(moment)
        if self._paused and self._moment is not None:
            self._waiting = moment
            return
        self._show(moment)

    def _remember(self, moment: Moment) -> None:
        """Remember names, so that events of what went away still say whose they are."""
        for container in moment.containers:
            self._names.pop(container.id, None)
            self._names[container.id] = container.name
        while len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]

    def _show(self, moment: Moment) -> None:
        self._moment = moment
        self._arrived = self._clock()
        for screen in reversed(self.screen_stack):
            if isinstance(screen, SubjectScreen):
                screen.refresh_all()
                return

    @on(SourceFailed)
    def _failed(self, message: SourceFailed) -> None:
        self._problem = f"no new samples: {message.reason}"
        self._redraw_status()
        self.set_timer(_RETRY_SECONDS, self._listen)

    @on(SourceEnded)
    def _source_ended(self) -> None:
        self._ended = True
        self._redraw_status()

    def _redraw_status(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, SubjectScreen):
                screen.refresh_status()

    def choose(self, container: str) -> None:
        """Remember a container as the selected one."""
        self._chosen = container

    def take_target(self, mode: str) -> str | None:
        """Return the container that a screen was asked to show, once."""
        return self._targets.pop(mode, None)

    def go(self, mode: str, container: str | None = None) -> None:
        """Show a screen; with a container, that container's part of it."""
        if container is not None:
            self._chosen = container
            self._targets[mode] = container
        if mode == self.current_mode:
            while len(self.screen_stack) > 1:
                self.pop_screen()
            screen = self.screen
            if isinstance(screen, SubjectScreen) and container is not None:
                self._targets.pop(mode, None)
                screen.aim(container)
            return
        self._trail = [*self._trail[-20:], self.current_mode]
        self.switch_mode(mode)

    def back(self) -> None:
        """Return to the screen before."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self._trail:
            self.switch_mode(self._trail.pop())

    def act(self, action: str, container: Container | None) -> None:
        """Begin an action; nothing where actions are not offered."""
        if self._actions is not None:
            self._actions.begin(action, container)

    def _fatal_error(self) -> None:
        """Leave with a plain traceback: Textual's own shows the values of all variables, which are others' data."""
        self.bell()
        text = "".join(traceback.format_exception(sys.exc_info()[1]))
        lines = [Segment(line + "\n") for line in safe.lines(text)]
        self._exit_renderables.append(Segments(lines))
        self._close_messages_no_wait()

    def action_go(self, mode: str) -> None:
        """Show a screen."""
        self.go(mode)

    def action_pause(self) -> None:
        """Hold what is shown, or show what came meanwhile."""
        self._paused = not self._paused
        waiting, self._waiting = self._waiting, None
        if not self._paused and waiting is not None:
            self._show(waiting)
        self._redraw_status()

    def action_problems(self) -> None:
        """Show what could not be read, and why."""
        problems = self._moment.frame.errors if self._moment else ()
        lines = problem_lines(problems)
        self.push_screen(TextDialog("What could not be read", lambda _: lines))

    def action_owner(self) -> None:
        """Ask who owns something."""
        self.ask_owner()

    def ask_owner(self) -> None:
        """Ask who owns something, then show the container."""
        moment = self._moment
        if moment is None:
            return

        async def ask(what: str) -> Report:
            return await self._looker((self._moment or moment).frame, what)

        def chosen(container: str | None) -> None:
            if container is not None:
                self.go("containers", container)

        self.push_screen(OwnerDialog(ask), chosen)

    def action_help(self) -> None:
        """Show every key that does something here."""
        notes = self.screen.NOTES if isinstance(self.screen, SubjectScreen) else ()
        lines = help_lines(self.screen.active_bindings, notes)
        self.push_screen(TextDialog("Keys", lambda _: lines))
