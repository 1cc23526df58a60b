"""The layers screen: the stack of the chosen container, and lists of what is in it."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container as Box

from inspector.domains.containers.model import Container
from screens.base import SubjectScreen
from screens.dialogs.choose import Choice, ChooseDialog
from screens.layers import opening
from screens.layers.asked import Asked, Subject
from screens.layers.files import FILES, is_directory
from screens.layers.inquiry import Inquiry
from screens.layers.stack import StackRow, layer_lines, rows, stack_columns, waste_line
from screens.layers.views import FileTree, Names, Views
from screens.moment import Moment
from screens.widgets.bars import Bar
from screens.widgets.cells import Line, Piece
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines


class LayersScreen(SubjectScreen):
    """One container's layers at a time."""

    NAME = "layers"
    PANES = ("stack", "views")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "step(1)", "the next container", show=False),
        Binding("left", "step(-1)", "the container before", show=False),
        Binding("p", "pick", "pick a container", show=False),
        Binding("t", "view(1)", "the next list: changes, files, wasted, writes…", show=False),
        Binding("T", "view(-1)", "the list before", show=False),
        Binding(
            "v",
            "file('view')",
            "view the file under the cursor, of any layer that has it",
            show=False,
        ),
        Binding("r", "again", "ask again for what is shown", show=False),
        Binding("S", "scan", "weigh every layer: what is wasted; once more stops it", show=False),
    ]
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (
        ("← →", "container"),
        ("t", "list"),
        ("v", "view"),
        ("S", "weigh"),
        ("Tab", "pane"),
    )
    NOTES: ClassVar[Sequence[tuple[str, str]]] = (
        ("efficiency", "visible bytes / (visible + hidden bytes), over all layers"),
        (
            "visible",
            "bytes of regular files that the container can read; each inode once, no holes",
        ),
        ("hidden", "bytes of versions that are replaced, deleted or covered in a layer above"),
        ("copied up", "when the file's inode was made in the upper layer"),
        ("written", "a file's growth, or all of one that is new: at least so much was written"),
    )

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        if may_act:
            save = Binding("w", "file('save')", "save a copy of the file on this host", show=False)
            self._bindings.key_to_bindings.setdefault("w", []).append(save)
        self._container: str | None = None
        self._inquiry = Inquiry(self)

    def body(self) -> ComposeResult:
        """The container's name, what is wasted, the stack, the lists, what is selected in words."""
        yield Bar(id="which")
        yield Bar(id="waste")
        with Box(id="layers-panes", classes="panes"):
            yield FrameTable(stack_columns(), lambda row: row.key, empty="no layers", id="stack")
            yield Views(id="views")
        yield Lines(id="layer-note", focusable=False, classes="pane")

    @property
    def stack(self) -> FrameTable[StackRow]:
        """The table of layers."""
        return self.query_one("#stack", FrameTable)

    @property
    def views(self) -> Views:
        """The lists beside it."""
        return self.query_one(Views)

    @property
    def _asked(self) -> Asked:
        return self._inquiry.of(self._container or "")

    def show(self, moment: Moment) -> None:
        """Show the chosen container's layers."""
        container = self._current(moment)
        self._show_which(container, moment)
        self.query_one("#waste", Bar).show(waste_line(container, self._asked, moment))
        if container is None or container.rootfs is None:
            self.stack.show(())
        else:
            self.stack.show(rows(container.rootfs, self._asked, moment))
        self.views.show(Subject(container, moment, self._asked) if container else None)
        self._show_note()
        self._inquiry.keep(container, self.views.current.key)

    def aim(self, container: str) -> None:
        """Show another container's layers."""
        if container != self._container:
            self._inquiry.stop()
        self._container = container
        self.refresh_all()

    def subject(self) -> str | None:
        """Return the container whose layers these are."""
        return self._container

    def _now(self) -> Container | None:
        """Return the container as it is now."""
        moment = self.shell.moment
        return moment.container_by_id.get(self._container or "") if moment else None

    def filter_changed(self, text: str) -> str:
        """Keep the paths that the text accepts."""
        return self.views.filter(text)

    def focus_body(self) -> None:
        """Give the keyboard to the list."""
        self.set_focus(self.views.front)

    def hints(self) -> list[tuple[str, str]]:
        """Name saving where it is offered, and what the arrows do where the keyboard is."""
        found = super().hints()
        if self.views.current is FILES and self.views.front.has_focus:
            found[0] = ("← →", "fold")
        if self._may_act:
            found.insert(3, ("w", "save"))
        return found

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

    def action_view(self, by: int) -> None:
        """Bring another list to the front."""
        self.views.step(by)
        self.refresh_all()

    def action_other_pane(self) -> None:
        """Give the keyboard to the stack, or to the list in front."""
        to_stack = self.views.front.has_focus
        self.set_class(not to_stack, "-second")
        self.set_focus(self.stack if to_stack else self.views.front)

    def action_scan(self) -> None:
        """Weigh every layer; once more stops it."""
        container = self._now()
        if self._inquiry.weighing:
            self._inquiry.stop()
        elif container is not None and container.rootfs is not None:
            self._inquiry.weigh(container)
        self.refresh_all()

    def action_back(self) -> None:
        """Stop a weighing; without one, as on every screen."""
        if self._inquiry.weighing:
            self._inquiry.stop()
            self.refresh_all()
        else:
            super().action_back()

    def action_again(self) -> None:
        """Ask again for what the list in front shows."""
        container = self._now()
        if container is not None:
            self._inquiry.again(container, self.views.current.key)

    def action_file(self, what: str) -> None:
        """View the file under the cursor, or save it."""
        container, path = self._now(), self.views.path()
        if container is None or path is None:
            self.app.notify("no file is under the cursor: the list Files has all", markup=False)
        elif what == "save":
            opening.save(self, container, path)
        else:
            opening.view(self, container, path, may_save=self._may_act)

    @on(FileTree.Folded)
    def _folded(self, message: FileTree.Folded) -> None:
        message.stop()
        self._fold(opened=message.opened)

    def _fold(self, *, opened: bool) -> None:
        node, container = self.views.front.selected, self._now()
        if node is None or container is None:
            return
        path: str = node.item.path
        if opened and is_directory(node.item):
            self._inquiry.open(container, path)
        elif not opened and path in self._asked.opened:
            self._asked.opened.discard(path)
            self._asked.answered("files")
            self.refresh_all()
        elif not opened:
            self.views.front.select(path.rpartition("/")[0])

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
            if rootfs.about and rootfs.changes is None:
                pieces.append((f"   {rootfs.about}", "dim"))
            if self._asked.report is None and rootfs.changes and not rootfs.changes.complete:
                pieces.append(("   the newest changes only: S walks them all", "dim"))
        if self._inquiry.said:
            pieces.append((f"   {self._inquiry.said}", "accent"))
        self.query_one("#which", Bar).show(tuple(pieces))

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        self._show_note()

    @on(FrameTable.Opened)
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        if message.table is self.stack:
            self.set_focus(self.views.front)
            return
        node = self.views.front.selected if self.views.current is FILES else None
        if node is not None and is_directory(node.item):
            self._fold(opened=node.item.path not in self._asked.opened)
        else:
            self.action_file("view")

    @on(Names.Chosen)
    def _named(self, message: Names.Chosen) -> None:
        message.stop()
        self.views.bring(message.key)
        self.refresh_all()

    def on_screen_suspend(self) -> None:
        """Walk nothing again and again while nobody looks."""
        self._inquiry.rest()

    def on_descendant_focus(self) -> None:
        """Tell of what the keyboard is on; on a narrow screen the list has the stack's room too."""
        if self.stack.has_focus or self.views.front.has_focus:
            self.set_class(self.views.front.has_focus, "-second")
        self._show_note()

    def _show_note(self) -> None:
        moment, container = self.shell.moment, self._now()
        row = self.stack.selected
        lines: list[Line] = []
        if container is None or (container.rootfs is None and self.stack.has_focus):
            lines = _without_layers(container)
        elif not self.stack.has_focus:
            lines = self.views.note()
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
