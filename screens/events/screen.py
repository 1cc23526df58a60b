"""The events screen: what shims, engines and the kernel say, as it happens."""

import itertools
import json
from collections.abc import Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from inspector import units
from inspector.columns import Column
from inspector.domains.events import columns
from inspector.domains.events.model import Event
from screens import filters, safe
from screens.base import SubjectScreen
from screens.dialogs.text import TextDialog
from screens.events.waterfall import run_around, waterfall
from screens.moment import Moment
from screens.widgets import cells
from screens.widgets.cells import Line, Tone
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines
from screens.widgets.table_columns import Shown

_BAD: Final = ("oom", "fail", "error")
_GONE: Final = ("exit", "die", "delete", "remove", "destroy", "stop", "kill", "gone")
_STATUS: Final = ("exit_status", "exitCode", "exit_code", "exitStatus")
_PAUSED: Final = ("pause", "freeze", "frozen")
_RESUMED: Final = ("resume", "unpause", "thaw")
_MADE: Final = ("create", "start", "exec", "appear")
_PROCESS: Final = "process-"
"""How topics of single processes begin: a busy host has hundreds a second, which bury all others."""


class EventsScreen(SubjectScreen):
    """Follows the newest event until the cursor is moved up."""

    NAME = "events"
    FOLLOWS = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "all", "events of every container", show=False),
        Binding("p", "processes", "births and ends of processes too, or not", show=False),
        Binding("w", "waterfall", "draw what belongs to this event as a waterfall", show=False),
    ]
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (
        ("Enter", "open"),
        ("w", "waterfall"),
        ("G", "follow"),
    )

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._filter: filters.Filter[Event] = filters.Filter(lambda _: True)
        self._only: str | None = None
        self._before: dict[int, Event] = {}
        self._following = True
        self._count = 0
        self._processes = False
        self._asked_for_processes = False

    def body(self) -> ComposeResult:
        """A table, and the body of the event under the cursor."""
        yield FrameTable(
            self._columns(),
            _identity,
            empty="no event yet: they show here as they happen; p shows those of processes too",
            id="stream",
        )
        yield Lines(id="event-body", focusable=False, classes="pane")

    @property
    def table(self) -> FrameTable[Event]:
        """The table."""
        return self.query_one("#stream", FrameTable)

    def show(self, moment: Moment) -> None:
        """Show the events that the filter accepts."""
        processes = self._processes or self._asked_for_processes
        shown = [
            event
            for event in moment.event_log
            if (self._only is None or event.container == self._only)
            and (processes or not event.topic.startswith(_PROCESS))
            and self._filter.accepts(event)
        ]
        self._before = {id(event): before for before, event in itertools.pairwise(shown)}
        grew = len(shown) != self._count
        self._count = len(shown)
        self.table.show(shown)
        if self._following and grew:
            self.table.follow()

    def aim(self, container: str) -> None:
        """Show one container's events only."""
        self._only = container
        self.refresh_all()

    def subject(self) -> str | None:
        """Return the container that the event under the cursor is about."""
        event = self.table.selected
        return event.container if event else None

    def filter_changed(self, text: str) -> str:
        """Keep what the text accepts."""
        self._filter = filters.parse(text, self._named_columns())
        self._asked_for_processes = "process" in text
        if self.shell.moment is not None:
            self.show(self.shell.moment)
        return self._filter.problem

    def _named_columns(self) -> tuple[Column[Event], ...]:
        """Return what a filter reads: containers by name as well as by id."""
        rest = tuple(one for one in columns.COLUMNS if one.id != "container")
        named = Column[Event]("container", "CONTAINER", self._name_of)
        return (*rest, named, Column[Event]("id", "ID", lambda event: event.container))

    def focus_body(self) -> None:
        """Give the keyboard to the table."""
        self.set_focus(self.table)

    def action_all(self) -> None:
        """Show the events of every container again."""
        self._only = None
        self.refresh_all()

    def action_processes(self) -> None:
        """Show births and ends of processes too, or leave them out."""
        self._processes = not self._processes
        self.refresh_all()
        self.refresh_status()

    def action_waterfall(self) -> None:
        """Draw the events around the selected one by their times."""
        event, moment = self.table.selected, self.shell.moment
        if event is None or moment is None:
            return
        found = run_around(moment.event_log, event)
        name = moment.container_name(event.container) or event.source
        self.app.push_screen(
            TextDialog(f"{name}: step by step", lambda width: waterfall(found, width))
        )

    def action_back(self) -> None:
        """Show every container's events again; then as on every screen."""
        if self._only is not None:
            self.action_all()
        else:
            super().action_back()

    def hints(self) -> list[tuple[str, str]]:
        """Name the way back to all events where only one container's are shown."""
        moment = self.shell.moment
        rest = super().hints()
        rest.insert(1, ("p", "no processes" if self._processes else "processes"))
        if self._only is None or moment is None:
            return rest
        name = moment.container_name(self._only) or self._only
        return [("a", f"all (only {name} now)"), *rest]

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        items = self.table.items
        event = self.table.selected
        self._following = not items or event is items[-1]
        lines = [] if event is None else brief(event)
        self.query_one("#event-body", Lines).show(lambda _: lines)

    @on(FrameTable.Opened)
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        event = self.table.selected
        if event is not None:
            lines = body(event)
            title = f"{event.topic} from {event.source}"
            self.app.push_screen(TextDialog(title, lambda _: lines))

    def _columns(self) -> tuple[Shown[Event], ...]:
        delta = Column[Event]("delta", "AFTER", lambda _: None, width=8, align="right")
        return (
            Shown(column=_MARK, priority=0, paint=_mark, sortable=False),
            Shown(column=columns.TIME, priority=0, sortable=False, paint=_time),
            Shown(column=delta, priority=3, sortable=False, paint=self._delta),
            Shown(column=columns.SOURCE, priority=2, sortable=False, grow=1, most=18),
            Shown(column=columns.TOPIC, priority=0, sortable=False, grow=1, most=28, paint=_topic),
            Shown(
                column=columns.CONTAINER,
                priority=1,
                sortable=False,
                grow=1,
                paint=self._container,
                most=24,
            ),
            Shown(column=columns.WHAT, priority=2, width=12, grow=6, sortable=False),
        )

    def _container(self, event: Event, _width: int) -> Line:
        name = self._name_of(event)
        return ((name, "bold"),) if name else cells.BLANK

    def _name_of(self, event: Event) -> str | None:
        """Return a container's name as it is now; of one that went away, as it was called then."""
        moment = self.shell.moment
        if moment is None or event.container is None:
            return event.container_name or event.container
        if event.container in moment.container_by_id:
            return moment.container_name(event.container)
        return event.container_name or moment.container_name(event.container)

    def _delta(self, event: Event, _width: int) -> Line:
        before = self._before.get(id(event))
        if before is None:
            return cells.BLANK
        passed = (event.timestamp - before.timestamp).total_seconds()
        return ((f"+{units.interval(passed)}", "dim"),)


_MARK: Final = Column[Event]("kind", "", lambda _: None, width=1)


def tone(event: Event) -> Tone:
    """Return the state that an event leads to."""
    name = event.topic.rsplit("/", 1)[-1].casefold()
    if any(str(event.event.get(key, 0)) != "0" for key in _STATUS):
        return "failed"
    found: tuple[tuple[tuple[str, ...], Tone], ...] = (
        (_BAD, "failed"),
        (_RESUMED, "ok"),
        (_PAUSED, "paused"),
        (_GONE, "stopped"),
        (_MADE, "ok"),
    )
    for words, result in found:
        if any(word in name for word in words):
            return result
    return "dim"


def _mark(event: Event, _width: int) -> Line:
    found = tone(event)
    signs: dict[Tone, str] = {"failed": "✖", "paused": "❄", "stopped": "○", "ok": "●"}
    return ((signs.get(found, "·"), found),)


def _time(event: Event, _width: int) -> Line:
    return ((columns.TIME.text(event), "dim"),)


def _topic(event: Event, _width: int) -> Line:
    found = tone(event)
    return ((event.topic, found if found == "failed" else "plain"),)


def _identity(event: Event) -> str:
    # Of many at one moment the process tells which: that of an exec, or one that was born.
    which = f"{event.event.get('exec_id', '')} {event.event.get('pid', '')}"
    return f"{event.timestamp.timestamp()} {event.source} {event.topic} {event.container} {which}"


def brief(event: Event) -> list[Line]:
    """Return an event's body in a few lines: a key a line, nested values as JSON."""
    lines: list[Line] = [((f" {event.timestamp.isoformat()}  ", "dim"), (event.topic, "bold"))]
    lines += told_by(event)
    for key, value in event.event.items():
        lines.append(((f" {key:<16} ", "dim"), (_compact(value), "plain")))
    return lines


def body(event: Event) -> list[Line]:
    """Return everything about an event, its body as indented JSON."""
    rows = (
        ("time", event.timestamp.isoformat()),
        ("source", event.source),
        ("topic", event.topic),
        ("namespace", event.engine_namespace or "none"),
        ("container", event.container or "none"),
        *((("its name", event.container_name),) if event.container_name else ()),
    )
    lines: list[Line] = [((f" {label:<12}", "dim"), (value, "plain")) for label, value in rows]
    lines += told_by(event)
    lines.append(cells.BLANK)
    text = json.dumps(event.event, indent=2, default=str, ensure_ascii=False)
    return lines + [((" " + line, "plain"),) for line in safe.lines(text)]


def told_by(event: Event) -> list[Line]:
    """Return who else told of the same, and how much later."""
    lines: list[Line] = []
    for one in event.seen_by:
        later = (one.timestamp - event.timestamp).total_seconds()
        when = f"{units.interval(abs(later))} {'later' if later >= 0 else 'before'}"
        lines.append(
            ((f" {'also told by':<16} ", "dim"), (f"{one.source} as {one.topic}, {when}", "plain"))
        )
    return lines


def _compact(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str, ensure_ascii=False)
