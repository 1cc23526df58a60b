"""A table drawn straight from a frame: it holds no cells, so its cost is the lines on the screen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.events import Blur, Click, Focus, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.widgets import cells
from screens.widgets.cells import Line, Piece
from screens.widgets.drawn import Drawn
from screens.widgets.table_columns import Shown, heading, laid_out, sort_key

if TYPE_CHECKING:
    from rich.style import Style

T = TypeVar("T")

_GAP: Piece = (" ", "plain")


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """One line below the titles: an item, or the head of a group, which the cursor passes over."""

    key: str
    item: T | None
    head: Line = ()


class FrameTable(Drawn, ScrollView, Generic[T], can_focus=True):
    """Shows items of T in columns; the cursor follows an item, not a line."""

    TITLE_LINES: ClassVar[int] = 1
    """Lines that the titles take: 1, or 0 for a list without any."""
    DEFAULT_CSS = """
    FrameTable { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("home,g", "end(-1)", "First", show=False),
        Binding("end,G", "end(1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    class Moved(Message):
        """The cursor is on another item, or the item changed under it."""

        def __init__(self, table: "FrameTable[object]", key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "FrameTable[object]":
            """The table it happened in."""
            return self.table

    class Opened(Moved):
        """Enter was pressed, or an item was clicked twice."""

    class Sorted(Message):
        """A title was clicked."""

    def __init__(
        self,
        columns: Sequence[Shown[T]],
        identify: Callable[[T], str],
        *,
        sort: str | None = None,
        empty: str = "nothing here",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._identify = identify
        self._empty = empty
        self._source: Sequence[T] = ()
        self._groups: Callable[[T], tuple[int, str]] | None = None
        self._rows: list[Row[T]] = []
        self._cursor = 0
        self._wanted: str | None = None
        self._told: str | None = None
        self._shown = False
        self._layout: list[tuple[Shown[T], int]] = []
        self.sort: str | None = sort
        self.reverse = False
        self.lines_drawn = 0
        """Lines drawn since the start, for whoever counts what a refresh costs."""

    @property
    def items(self) -> list[T]:
        """The items as they are shown, in their order."""
        return [row.item for row in self._rows if row.item is not None]

    @property
    def selected(self) -> T | None:
        """The item under the cursor."""
        return self._rows[self._cursor].item if self._cursor < len(self._rows) else None

    @property
    def selected_key(self) -> str | None:
        """Its identity."""
        return self._identify(self.selected) if self.selected is not None else None

    def show(
        self, items: Sequence[T], groups: Callable[[T], tuple[int, str]] | None = None
    ) -> None:
        """Take the new items; the cursor stays on its item, or near where it was when that went."""
        self._shown = True
        self._source = items
        self._groups = groups
        self._arrange()

    def tell(self, empty: str) -> None:
        """Say this from now on where there is nothing to show."""
        self._empty = empty

    def select(self, key: str) -> bool:
        """Put the cursor on an item; remember the wish where it is not here yet."""
        self._wanted = key
        for index, row in enumerate(self._rows):
            if row.item is not None and row.key == key:
                self._put(index)
                return True
        return False

    def sort_by(self, column: str | None, *, reverse: bool = False) -> None:
        """Sort by a column's id; None leaves the items as they come."""
        self.sort, self.reverse = column, reverse
        self._arrange()

    def follow(self) -> None:
        """Put the cursor on the last item."""
        self.action_end(1)

    def _arrange(self) -> None:
        items = list(self._source)
        by = next((one.column for one in self._columns if one.column.id == self.sort), None)
        if by is not None:
            known = [item for item in items if by.value(item) is not None]
            unknown = [item for item in items if by.value(item) is None]
            known.sort(key=lambda item: sort_key(by.value(item)), reverse=self.reverse)
            items = known + unknown
        self._rows = self._grouped(items) if self._groups else self._flat(items)
        self._lay_out()
        self._keep_cursor()
        self.refresh()

    def _flat(self, items: Sequence[T]) -> list[Row[T]]:
        return [Row(self._identify(item), item) for item in items]

    def _grouped(self, items: Sequence[T]) -> list[Row[T]]:
        if self._groups is None:
            return self._flat(items)
        groups: dict[tuple[int, str], list[T]] = {}
        for item in items:
            groups.setdefault(self._groups(item), []).append(item)
        if len(groups) < 2:
            return self._flat(items)
        rows: list[Row[T]] = []
        for place in sorted(groups):
            head: Line = ((f"▾ {place[1]} ", "title"), (f"({len(groups[place])})", "dim"))
            rows.append(Row(f"group {place[1]}", None, head))
            rows.extend(self._flat(groups[place]))
        return rows

    def _keep_cursor(self) -> None:
        at = self._cursor
        if self._wanted is not None:
            found = (i for i, row in enumerate(self._rows) if row.key == self._wanted)
            at = next(found, at)
        self._put(self._nearest(at), remember=self._wanted is None)

    def _nearest(self, index: int, by: int = 1) -> int:
        """Return the index of the item at or after `index` in direction `by`, else the nearest one."""
        last = len(self._rows) - 1
        if last < 0:
            return 0
        index = max(0, min(last, index))
        for candidates in (
            range(index, last + 1) if by > 0 else range(index, -1, -1),
            range(index, -1, -1) if by > 0 else range(index, last + 1),
        ):
            for candidate in candidates:
                if self._rows[candidate].item is not None:
                    return candidate
        return 0

    def _put(self, index: int, *, remember: bool = True) -> None:
        self._cursor = index
        if remember:
            self._wanted = self.selected_key
        self._reveal()
        self.refresh()
        if self.selected_key != self._told:
            self._told = self.selected_key
            self.post_message(self.Moved(cast("FrameTable[object]", self), self._told))

    def _reveal(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height - self.TITLE_LINES)
        if self._cursor <= top:
            headed = self._cursor > 0 and self._rows[self._cursor - 1].item is None
            wanted = self._cursor - (1 if headed else 0)
        elif self._cursor >= top + height:
            wanted = self._cursor - height + 1
        else:
            return
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        self.virtual_size = Size(width, len(self._rows) + self.TITLE_LINES)
        width = self.scrollable_content_region.width or width
        self._layout = laid_out(self._columns, width)

    def on_resize(self, _event: Resize) -> None:
        """Choose columns for the new width."""
        self._lay_out()
        self._reveal()

    def on_focus(self, _event: Focus) -> None:
        """Brighten the cursor."""
        self.refresh()

    def on_blur(self, _event: Blur) -> None:
        """Dim the cursor."""
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor over items."""
        if self._rows:
            self._put(self._nearest(self._cursor + by, by))

    def action_page(self, by: int) -> None:
        """Move the cursor by what is in view."""
        if self._rows:
            self._put(
                self._nearest(
                    self._cursor + by * max(1, self.size.height - self.TITLE_LINES - 1), by
                )
            )

    def action_end(self, by: int) -> None:
        """Move the cursor to the first or the last item."""
        if self._rows:
            self._put(self._nearest(len(self._rows) - 1 if by > 0 else 0, by))

    def action_open(self) -> None:
        """Say that the item was opened."""
        if self.selected is not None:
            self.post_message(self.Opened(cast("FrameTable[object]", self), self.selected_key))

    def on_click(self, event: Click) -> None:
        """Sort by a title, or move to a line; twice opens it."""
        if event.y < self.TITLE_LINES:
            self._sort_at(event.x)
            return
        index = self.scroll_offset.y + event.y - self.TITLE_LINES
        if index < len(self._rows) and self._rows[index].item is not None:
            self._put(index)
            if event.chain == 2:
                self.action_open()

    def _sort_at(self, x: int) -> None:
        left = 0
        for shown, width in self._layout:
            if left <= x < left + width + 1 and shown.sortable:
                same = self.sort == shown.column.id
                falls = shown.column.align == "right"
                self.sort_by(shown.column.id, reverse=not self.reverse if same else falls)
                self.post_message(self.Sorted())
                return
            left += width + 1

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen: the titles first, then the rows in view."""
        self.lines_drawn += 1
        width = self.size.width
        index = self.scroll_offset.y + y - self.TITLE_LINES
        if y < self.TITLE_LINES:
            return cells.strip(self._titles(), width, self.tone)
        if index >= len(self._rows):
            told = y == self.TITLE_LINES + 1 and not self._rows
            # Before anything was shown, nothing is known either: it would be wrong to say that there is none.
            text = self._empty if self._shown else "reading the host…"
            note: Line = (("  " + text, "dim"),) if told else ()
            return cells.strip(note, width, self.tone)
        row = self._rows[index]
        if row.item is None:
            return cells.strip(row.head, width, self.tone)
        over: Style | None = None
        if index == self._cursor:
            over = self.tone("cursor" if self.has_focus else "cursor-blurred")
        return cells.strip(self._cells(row.item), width, self.tone, over)

    def _titles(self) -> Line:
        pieces: list[Piece] = []
        for shown, width in self._layout:
            arrow = ("▼" if self.reverse else "▲") if shown.column.id == self.sort else ""
            title = heading(shown, arrow, width)
            pieces += [*cells.fit(title, width, right=shown.column.align == "right"), _GAP]
        return tuple(pieces)

    def _cells(self, item: T) -> Line:
        pieces: list[Piece] = []
        for shown, width in self._layout:
            right = shown.column.align == "right"
            pieces += [*cells.fit(shown.cell(item, width), width, right=right), _GAP]
        return tuple(pieces)
