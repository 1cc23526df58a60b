"""The namespaces screen: the tree by owner, and beside it who shares which."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container as Box
from textual.containers import Vertical

from inspector.domains.namespaces.columns import COLUMNS
from inspector.domains.namespaces.model import Namespace
from screens import filters
from screens.base import SubjectScreen
from screens.container.screen import ContainerScreen
from screens.container.summary import summary
from screens.moment import Moment
from screens.namespaces.rows import (
    Sharing,
    lines,
    matrix,
    matrix_columns,
    named_columns,
    tree,
    tree_columns,
)
from screens.widgets.bars import Bar
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines
from screens.widgets.trees import Branch


class NamespacesScreen(SubjectScreen):
    """Two panes: the tree, the matrix."""

    NAME = "namespaces"
    PANES = ("ns-tree", "matrix")
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (("Tab", "tree / sharing"),)

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._text = ""

    def body(self) -> ComposeResult:
        """The two panes, and what is selected in words."""
        with Box(id="ns-panes", classes="panes"):
            yield FrameTable(
                tree_columns(lambda: self.shell.moment),
                lambda branch: branch.key,
                empty="no namespace, or the filter fits none",
                id="ns-tree",
            )
            with Vertical(id="sharing"):
                yield FrameTable(
                    matrix_columns(),
                    lambda row: row.container.id,
                    empty="nothing runs",
                    id="matrix",
                )
                yield Bar(id="legend")
        yield Lines(id="ns-note", focusable=False, classes="pane")

    def on_mount(self) -> None:
        """Explain the marks."""
        super().on_mount()
        self.query_one("#legend", Bar).show(
            (
                (" ·", "dim"),
                (" the host's  ", "dim"),
                ("●", "accent"),
                (" its own  ", "dim"),
                ("A●", "accent"),
                (" with others marked A", "dim"),
            )
        )

    @property
    def rows(self) -> FrameTable[Branch[Namespace]]:
        """The tree, as a table."""
        return self.query_one("#ns-tree", FrameTable)

    @property
    def matrix(self) -> FrameTable[Sharing]:
        """The matrix."""
        return self.query_one("#matrix", FrameTable)

    def show(self, moment: Moment) -> None:
        """Show both panes; a filter is for both."""
        found, shared = list(moment.namespaces), matrix(moment)
        if self._text.strip():
            wanted = filters.parse(self._text, named_columns(moment))
            found = [one for one in found if wanted.accepts(one)]
            inside = {container for one in found if not one.host for container in one.containers}
            shared = [row for row in shared if row.container.id in inside]
        self.rows.show(tree(found, moment))
        self.matrix.show(shared)
        self._show_note()

    def aim(self, container: str) -> None:
        """Put both cursors on a container."""
        self.matrix.select(container)
        moment = self.shell.moment
        found = moment.container_by_id.get(container) if moment else None
        if found is None:
            return
        own = [kind for kind in ("pid", "mnt", "net") if kind not in found.shared_with_host]
        inode = found.namespaces.get(own[0] if own else "pid")
        if inode is not None:
            self.rows.select(str(inode))

    def subject(self) -> str | None:
        """Return the container under the cursor, or the only one in the namespace under it."""
        row, branch = self.matrix.selected, self.rows.selected
        if self.matrix.has_focus and row is not None:
            return row.container.id
        if branch is not None and len(branch.item.containers) == 1:
            return branch.item.containers[0]
        return None

    def filter_changed(self, text: str) -> str:
        """Keep what the text accepts."""
        self._text = text
        if self.shell.moment is not None:
            self.show(self.shell.moment)
        return filters.parse(text, COLUMNS).problem if text.strip() else ""

    def focus_body(self) -> None:
        """Give the keyboard to the tree."""
        self.set_focus(self.rows)

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        owner = self.subject()
        if owner is not None and self.focused in {self.rows, self.matrix}:
            self.shell.choose(owner)
        self._show_note()

    @on(FrameTable.Opened)
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        owner = self.subject()
        if owner is not None:
            self.app.push_screen(ContainerScreen(owner, may_act=self._may_act))

    def on_descendant_focus(self) -> None:
        """Tell of what the keyboard is on."""
        self._show_note()

    def _show_note(self) -> None:
        moment, branch, row = self.shell.moment, self.rows.selected, self.matrix.selected
        pane = self.query_one("#ns-note", Lines)
        if moment is None:
            return
        if self.matrix.has_focus and row is not None:
            pane.show(lambda width: summary(row.container, moment, width, pane.size.height))
        elif branch is not None:
            built = lines(branch.item, moment)
            pane.show(lambda _: built)
        else:
            pane.show(lambda _: ())
