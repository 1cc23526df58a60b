"""The containers screen: every container of every engine, and of none."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.reactive import reactive

from inspector.domains.containers.columns import COLUMNS
from inspector.domains.containers.model import Container
from screens import filters
from screens.base import SubjectScreen
from screens.container.screen import ContainerScreen
from screens.container.summary import summary
from screens.containers.table import Painter, group, table_columns
from screens.dialogs.choose import Choice, ChooseDialog
from screens.moment import Moment
from screens.widgets.frame_table import FrameTable
from screens.widgets.lines import Lines


class ContainersScreen(SubjectScreen):
    """Lists the containers; the one under the cursor is told of below."""

    NAME = "containers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "order", "order by a column", show=False),
        Binding("O", "reverse", "reverse the order", show=False),
        Binding("v", "grouping", "group by project, pod and engine, or not", show=False),
    ]
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (("Enter", "open"),)

    grouped: reactive[bool] = reactive(default=True, init=False)

    def __init__(self, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._painter = Painter()
        self._filter: filters.Filter[Container] = filters.Filter(lambda _: True)

    def body(self) -> ComposeResult:
        """A table, and the pane below it."""
        yield FrameTable(
            table_columns(self._painter),
            lambda container: container.id,
            sort="name",
            empty="no container: none runs here, or the filter fits none."
            + (" s starts one." if self._may_act else ""),
            id="containers",
        )
        yield Lines(id="detail", focusable=False, classes="pane")

    @property
    def table(self) -> FrameTable[Container]:
        """The table."""
        return self.query_one("#containers", FrameTable)

    def show(self, moment: Moment) -> None:
        """Show a moment's containers."""
        self._painter.show(moment)
        items = [one for one in moment.containers if self._filter.accepts(one)]
        self.table.show(items, group if self.grouped else None)
        self._show_detail()

    def aim(self, container: str) -> None:
        """Put the cursor on a container."""
        self.table.select(container)

    def subject(self) -> str | None:
        """Return the id of the container under the cursor."""
        return self.table.selected_key

    def filter_changed(self, text: str) -> str:
        """Keep what the text accepts."""
        self._filter = filters.parse(text, COLUMNS, lambda one: one.labels)
        if self.shell.moment is not None:
            self.show(self.shell.moment)
        return self._filter.problem

    def focus_body(self) -> None:
        """Give the keyboard to the table."""
        self.set_focus(self.table)

    def watch_grouped(self) -> None:
        """Arrange the table anew."""
        self.refresh_all()

    def action_grouping(self) -> None:
        """Group, or do not."""
        self.grouped = not self.grouped

    def action_reverse(self) -> None:
        """Turn the order around."""
        self.table.sort_by(self.table.sort, reverse=not self.table.reverse)

    def action_order(self) -> None:
        """Ask for the column to sort by."""
        choices = [
            Choice(one.column.id, one.column.title.strip() or one.column.id, one.column.help)
            for one in table_columns(self._painter)
            if one.sortable
        ]

        def chosen(column: str | None) -> None:
            if column is not None:
                numbers = {one.id for one in COLUMNS if one.align == "right"}
                self.table.sort_by(column, reverse=column in numbers and column != "pid")

        self.app.push_screen(ChooseDialog("Order by", choices, current=self.table.sort), chosen)

    @on(FrameTable.Moved)
    def _moved(self, message: FrameTable.Moved) -> None:
        message.stop()
        if message.key is not None:
            self.shell.choose(message.key)
        self._show_detail()

    @on(FrameTable.Opened)
    def _opened(self, message: FrameTable.Opened) -> None:
        message.stop()
        if message.key is not None:
            self.app.push_screen(ContainerScreen(message.key, may_act=self._may_act))

    def _show_detail(self) -> None:
        moment, container = self.shell.moment, self.table.selected
        pane = self.query_one("#detail", Lines)
        if moment is None or container is None:
            pane.show(lambda _: ())
        else:
            pane.show(lambda width: summary(container, moment, width, pane.size.height))
