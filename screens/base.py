"""What all screens have in common: the lines around the body, the filter, the way back."""

from collections.abc import Sequence
from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen

from screens.header import status, title
from screens.keys import action_bindings, window_bindings
from screens.moment import Moment
from screens.shell import Shell
from screens.widgets import cells
from screens.widgets.bars import Bar, Tab, Tabs, fitting_hints
from screens.widgets.filter_bar import FilterBar

TABS: tuple[Tab, ...] = (
    Tab("1", "containers", "Containers"),
    Tab("2", "namespaces", "Namespaces"),
    Tab("3", "layers", "Layers"),
    Tab("4", "cgroups", "Cgroups"),
    Tab("5", "events", "Events"),
)


class SubjectScreen(Screen[None]):
    """A screen on one subject. `show` is the one way in."""

    NAME: ClassVar[str]
    ON_A_CONTAINER: ClassVar[bool] = True
    """Whether actions and jumps make sense here."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", show=False, key_display="/"),
        Binding("escape", "back", "back", show=False),
        Binding("tab,shift+tab", "other_pane", "the other pane", show=False),
    ]
    FOLLOWS: ClassVar[bool] = True
    """Whether it goes to the container that was selected elsewhere, when it comes to the front."""
    PANES: ClassVar[tuple[str, ...]] = ()
    """Ids of the panes that Tab goes between; where there is room for one, the others hide."""
    NOTES: ClassVar[Sequence[tuple[str, str]]] = ()
    """What its words and numbers mean, for the help: a formula belongs there."""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual has it as an instance's
        (0, "-narrow"),
        (110, "-wide"),
    ]
    HINTS: ClassVar[Sequence[tuple[str, str]]] = ()
    """Keys of its own to name in the status line, before the actions."""

    def __init__(self, *, may_act: bool) -> None:
        super().__init__()
        self._may_act = may_act
        self._seen_choice: str | None = None
        bindings = window_bindings() if self.ON_A_CONTAINER else []
        if may_act:
            bindings += action_bindings()
        for binding in bindings:
            self._bindings.key_to_bindings.setdefault(binding.key, []).append(binding)

    @property
    def shell(self) -> Shell:
        """The application around."""
        return cast("Shell", self.app)

    def compose(self) -> ComposeResult:
        """Lay the common lines out around the body."""
        yield Bar(id="title")
        yield Tabs(TABS, self.NAME)
        yield from self.body()
        yield FilterBar()
        yield Bar(id="status")

    def body(self) -> ComposeResult:
        """Lay the screen's own part out."""
        raise NotImplementedError

    def show(self, moment: Moment) -> None:
        """Show a moment."""
        raise NotImplementedError

    def aim(self, container: str) -> None:
        """Show a container's part of this subject."""

    def filter_changed(self, text: str) -> str:
        """Apply a filter; return what is wrong with it."""
        raise NotImplementedError

    def subject(self) -> str | None:
        """Return the id of the container that the cursor is on, or that what it is on belongs to."""
        return None

    def _selected(self) -> str | None:
        """Return the id that actions and jumps are about."""
        return self.subject() or self.shell.chosen

    def refresh_all(self) -> None:
        """Draw the moment that is there now, and the lines around it."""
        moment = self.shell.moment
        if moment is not None:
            self.show(moment)
            self.query_one("#title", Bar).show(*title(moment.frame, self.size.width))
        self.refresh_status()

    def refresh_status(self) -> None:
        """Draw the status line: it changes as time goes by, with no new sample."""
        bar = self.query_one("#status", Bar)
        left = status(self.shell.vitals, self.size.width)
        room = max(0, self.size.width - cells.length(left) - 2)
        bar.show(left, fitting_hints(self.hints(), room))

    def hints(self) -> list[tuple[str, str]]:
        """Return the keys to name, the most useful first."""
        chosen = list(self.HINTS)
        if self._may_act:
            chosen += [(b.key, b.description) for b in action_bindings() if b.show]
        if self.ON_A_CONTAINER:
            chosen.append(("n l c e", "windows"))
        return [*chosen, ("Space", "pause"), ("q", "quit")]

    def on_mount(self) -> None:
        """Show the age of the sample as it grows."""
        self.set_interval(0.5, self._tick)

    def on_screen_resume(self) -> None:
        """Catch up with what came while another screen was in front."""
        target, chosen = self.shell.take_target(self.NAME), self.shell.chosen
        self.refresh_all()
        if target is None and self.FOLLOWS and chosen != self._seen_choice:
            target = chosen
        self._seen_choice = chosen
        if target is not None:
            self.aim(target)

    def on_resize(self, _event: Resize) -> None:
        """Fit the lines to the new width."""
        self.refresh_status()

    def _tick(self) -> None:
        if self.is_current:
            self.refresh_status()

    def action_filter(self) -> None:
        """Begin to type a filter."""
        self.query_one(FilterBar).open()

    def action_back(self) -> None:
        """Clear the filter; without one, return to the screen before."""
        bar = self.query_one(FilterBar)
        if bar.text or bar.has_class("-open"):
            bar.clear()
            self.focus_body()
        else:
            self.shell.back()

    def action_other_pane(self) -> None:
        """Give the keyboard to the other pane; on a narrow screen, show it instead."""
        if len(self.PANES) < 2:
            return
        second = self.query_one(f"#{self.PANES[1]}")
        to_second = not second.has_focus
        self.set_class(to_second, "-second")
        # At once, not `focus()`: that is done later, and would take the keyboard from what a key
        # of the same instant gave it to.
        self.set_focus(self.query_one(f"#{self.PANES[1 if to_second else 0]}"))

    def action_window(self, mode: str) -> None:
        """Show another window on the selected container."""
        self.shell.go(mode, self._selected())

    def action_act(self, action: str) -> None:
        """Begin an action on the selected container."""
        moment, identity = self.shell.moment, self._selected()
        found = moment.container_by_id.get(identity or "") if moment else None
        self.shell.act(action, found)

    def focus_body(self) -> None:
        """Give the keyboard back to the body."""
        raise NotImplementedError

    @on(FilterBar.Changed)
    def _typed(self, message: FilterBar.Changed) -> None:
        message.stop()
        self.query_one(FilterBar).note(self.filter_changed(message.text))

    @on(FilterBar.Closed)
    def _typing_over(self, message: FilterBar.Closed) -> None:
        message.stop()
        self.focus_body()

    @on(Tabs.Chosen)
    def _tab(self, message: Tabs.Chosen) -> None:
        message.stop()
        self.shell.go(message.name)
