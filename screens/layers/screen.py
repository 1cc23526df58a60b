"""The layers screen: the stack of the chosen container, and every path that it changed."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container as Box
from textual.worker import Worker, WorkerState

from inspector import units
from inspector.control import ActionFailed, LayerReport
from inspector.domains.containers.model import Container
from inspector.domains.layers import columns
from inspector.domains.layers.model import Change
from screens import filters
from screens.base import SubjectScreen
from screens.dialogs.choose import Choice, ChooseDialog
from screens.layers.stack import MARKS, StackRow, change_lines, layer_lines, rows, stack_columns
from screens.moment import Moment
from screens.widgets import cells
from screens.widgets.bars import Bar
from screens.widgets.cells import Line, Piece, Tone
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines
from screens.widgets.table_columns import Shown


class LayersScreen(SubjectScreen):
    """One container's layers at a time."""

    NAME = "layers"
    PANES = ("stack", "changes")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "step(1)", "the next container", show=False),
        Binding("left", "step(-1)", "the container before", show=False),
        Binding("p", "pick", "pick a container", show=False),
        Binding("S", "scan", "walk every layer in full, or stop it", show=False),
    ]
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (
        ("← →", "container"),
        ("S", "scan in full"),
        ("Tab", "pane"),
    )

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._container: str | None = None
        self._reports: dict[str, LayerReport] = {}
        self._scan: Worker[None] | None = None
        self._said = ""
        self._filter: filters.Filter[Change] = filters.Filter(lambda _: True)
        self._changes: tuple[Change, ...] = ()

    def body(self) -> ComposeResult:
        """The container's name, the stack, the changes, what is selected in words."""
        yield Bar(id="which")
        with Box(id="layers-panes", classes="panes"):
            yield FrameTable(stack_columns(), lambda row: row.key, empty="no layers", id="stack")
            yield FrameTable(
                _change_columns(),
                lambda change: change.path,
                sort="path",
                empty="nothing is changed, or the filter fits nothing",
                id="changes",
            )
        yield Lines(id="layer-note", focusable=False, classes="pane")

    @property
    def stack(self) -> FrameTable[StackRow]:
        """The table of layers."""
        return self.query_one("#stack", FrameTable)

    @property
    def changes(self) -> FrameTable[Change]:
        """The table of changed paths."""
        return self.query_one("#changes", FrameTable)

    def show(self, moment: Moment) -> None:
        """Show the chosen container's layers."""
        container = self._current(moment)
        self._show_which(container, moment)
        if container is None or container.rootfs is None:
            self.stack.show(())
            self.changes.show(())
            self._show_note()
            return
        report = self._reports.get(container.id)
        self.stack.show(rows(container.rootfs, report, moment))
        counted = container.rootfs.changes
        self._changes = report.changes if report else counted.files if counted else ()
        self.changes.show([one for one in self._changes if self._filter.accepts(one)])
        self._show_note()

    def aim(self, container: str) -> None:
        """Show another container's layers."""
        self._container = container
        self._stop_scan()
        self.refresh_all()

    def subject(self) -> str | None:
        """Return the container whose layers these are."""
        return self._container

    def filter_changed(self, text: str) -> str:
        """Keep the paths that the text accepts."""
        self._filter = filters.parse(text, columns.COLUMNS)
        self.changes.show([one for one in self._changes if self._filter.accepts(one)])
        return self._filter.problem

    def focus_body(self) -> None:
        """Give the keyboard to the changes."""
        (self.changes if self._filter.problem or self.changes.items else self.stack).focus()

    def action_step(self, by: int) -> None:
        """Show the layers of another container, in the order of their names."""
        moment = self.shell.moment
        if moment is None:
            return
        known = _with_layers(moment)
        if known:
            ids = [one.id for one in known]
            at = ids.index(self._container) if self._container in ids else -by
            self.aim(ids[(at + by) % len(ids)])
            self.shell.choose(ids[(at + by) % len(ids)])

    def action_pick(self) -> None:
        """Ask for a container."""
        moment = self.shell.moment
        known = _with_layers(moment) if moment else []
        choices = [
            Choice(one.id, one.name, f"{one.engine or 'no engine'}, {one.status}") for one in known
        ]

        def chosen(identity: str | None) -> None:
            if identity is not None:
                self.shell.choose(identity)
                self.aim(identity)

        self.app.push_screen(ChooseDialog("Layers of", choices, current=self._container), chosen)

    def action_scan(self) -> None:
        """Walk every layer; once more stops it."""
        if self._scan is not None and self._scan.is_running:
            self._stop_scan()
            return
        moment = self.shell.moment
        container = self._current(moment) if moment else None
        if container is not None and container.rootfs is not None:
            self._scan = self._walk(container)
            self._said = "walking every layer… S stops it"
            self.refresh_all()

    def action_back(self) -> None:
        """Stop a scan; without one, as on every screen."""
        if self._scan is not None and self._scan.is_running:
            self._stop_scan()
        else:
            super().action_back()

    @work(exclusive=True, group="scan")
    async def _walk(self, container: Container) -> None:
        try:
            report = await self.shell.control.layers(container)
        except ActionFailed as problem:
            self._said = str(problem)
            self.refresh_all()
            return
        self._reports = {container.id: report}
        bounded = "in full" if report.complete else "as far as its time went"
        self._said = f"walked {bounded}: {units.count(len(report.changes))} changed paths"
        self.refresh_all()

    def _stop_scan(self) -> None:
        if self._scan is not None and self._scan.state in {
            WorkerState.RUNNING,
            WorkerState.PENDING,
        }:
            self._scan.cancel()
            self._said = "stopped"
        else:
            self._said = ""
        self._scan = None
        self.refresh_all()

    def _current(self, moment: Moment) -> Container | None:
        """Return the container that is shown: the chosen one, or the first one that has layers."""
        if self._container is None:
            self._container = self.shell.chosen
        found = moment.container_by_id.get(self._container or "")
        if found is None and self._container is None:
            known = _with_layers(moment)
            found = known[0] if known else None
            self._container = found.id if found else None
        return found

    def _show_which(self, container: Container | None, moment: Moment) -> None:
        known = [one.id for one in _with_layers(moment)]
        if container is None:
            gone = "it is gone" if self._container else "no container has layers"
            self.query_one("#which", Bar).show(((f" {gone}", "dim"),))
            return
        place = f"{known.index(container.id) + 1} of {len(known)}" if container.id in known else ""
        pieces: list[Piece] = [
            (" ◂ ", "accent"),
            (container.name, "bold"),
            (" ▸ ", "accent"),
            (place, "dim"),
        ]
        rootfs = container.rootfs
        if rootfs is not None:
            mode = "read-only" if rootfs.read_only else "writable"
            pieces.append((f"   {rootfs.driver}, {mode}", "plain"))
            if rootfs.changes is not None:
                size = units.size(rootfs.changes.size_bytes)
                pieces.append((f"   {size} changed", "plain"))
            elif rootfs.about:
                pieces.append((f"   {rootfs.about}", "dim"))
            if container.id not in self._reports and not (
                rootfs.changes and rootfs.changes.complete
            ):
                pieces.append(("   the newest changes only: S walks them all", "dim"))
        if self._said:
            pieces.append((f"   {self._said}", "accent"))
        self.query_one("#which", Bar).show(tuple(pieces))

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        self._show_note()

    @on(FrameTable.Opened, "#stack")
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        self.changes.focus()

    def on_descendant_focus(self) -> None:
        """Tell of what the keyboard is on."""
        self._show_note()

    def _show_note(self) -> None:
        moment = self.shell.moment
        container = moment.container_by_id.get(self._container or "") if moment else None
        lines: list[Line] = []
        change, row = self.changes.selected, self.stack.selected
        if container is None or container.rootfs is None:
            lines = _without_layers(container)
        elif self.changes.has_focus and change is not None:
            lines = change_lines(change)
        elif moment is not None and row is not None:
            lines = layer_lines(row, container, moment)
        self.query_one("#layer-note", Lines).show(lambda _: lines)


def _with_layers(moment: Moment) -> list[Container]:
    found = [one for one in moment.containers if one.rootfs is not None and one.rootfs.layers]
    return sorted(found, key=lambda one: one.name.casefold())


def _without_layers(container: Container | None) -> list[Line]:
    if container is None:
        return [((" no container is chosen: ← → or p choose one", "dim"),)]
    return [((" it has the host's files as its root: no layers of its own", "dim"),)]


_KIND: Final = 10


def _change_columns() -> tuple[Shown[Change], ...]:
    def kind(change: Change, width: int) -> Line:
        text = columns.KIND.text(change)
        mark: Piece = (MARKS[change.kind], "accent")
        return (mark,) if width < _KIND else (mark, (f" {text}", "dim"))

    def path(change: Change, _width: int) -> Line:
        tone: Tone = "dim" if change.kind == "deleted" else "plain"
        return ((change.path + ("/" if change.is_directory else ""), tone),)

    def size(change: Change, _width: int) -> Line:
        if change.kind in {"deleted", "opaque"}:
            return cells.BLANK
        return cells.plain(columns.SIZE.text(change))

    def layer(change: Change, _width: int) -> Line:
        return cells.BLANK if change.layer is None else ((str(change.layer), "dim"),)

    return (
        Shown(column=columns.KIND, paint=kind, priority=0, width=12),
        Shown(column=columns.PATH, paint=path, priority=0, width=16, grow=1),
        Shown(column=columns.LAYER, paint=layer, priority=2, title="OVER"),
        Shown(column=columns.SIZE, paint=size, priority=1),
        Shown(column=columns.MODIFIED, priority=3),
    )
