"""The lists beside the stack, one of them in front, with their names above."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message

from screens import filters
from screens.layers.asked import Subject, View
from screens.layers.files import FILES, Node
from screens.layers.lists import CHANGES, DELETED, WASTED, WRITES
from screens.layers.mounts import MOUNTS
from screens.widgets import cells
from screens.widgets.bars import Bar
from screens.widgets.cells import Line, Piece
from screens.widgets.frame_table import FrameTable

VIEWS: Final[tuple[View[Any], ...]] = (CHANGES, FILES, WASTED, WRITES, DELETED, MOUNTS)
"""In the order that `t` goes through them."""


class FileTree(FrameTable[Node]):
    """The tree of files: what folds does so with the arrows, as everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "unfold(True)", "open a directory", show=False),
        Binding("left", "unfold(False)", "close it, or go to the one above", show=False),
    ]

    class Folded(Message):
        """A directory is to be opened or closed."""

        def __init__(self, *, opened: bool) -> None:
            super().__init__()
            self.opened = opened

    def action_unfold(self, opened: bool) -> None:  # noqa: FBT001 - a binding's argument
        """Ask for it."""
        self.post_message(self.Folded(opened=opened))


class Names(Bar):
    """The lists' names; a click goes to one."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._spans: list[tuple[int, int, str]] = []

    def mark(self, current: str) -> None:
        """Mark the one in front."""
        self._spans = []
        pieces: list[Piece] = []
        left = 0
        for view in VIEWS:
            text = f" {view.title} "
            pieces.append((text, "cursor-blurred" if view.key == current else "dim"))
            self._spans.append((left, left + len(text), view.key))
            left += len(text)
        self.show(tuple(pieces), (("t", "accent"), (" next list ", "dim")))

    def on_click(self, event: Click) -> None:
        """Go to the list whose name was clicked."""
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.post_message(self.Chosen(key))


class Views(Vertical):
    """Shows one list at a time; each keeps its own cursor."""

    DEFAULT_CSS = """
    Views { height: 1fr; }
    Views > FrameTable { display: none; }
    Views > FrameTable.-front { display: block; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.current: View[Any] = CHANGES
        self._subject: Subject | None = None
        self._text = ""
        self._filter: filters.Filter[Any] = filters.Filter(lambda _: True)
        self._made: dict[str, tuple[object, ...]] = {}

    def compose(self) -> ComposeResult:
        """The names, and a table for each list."""
        yield Names(id="view-names")
        for view in VIEWS:
            kind = cast("type[FrameTable[Any]]", FileTree if view is FILES else FrameTable)
            yield kind(
                view.columns, view.identify, sort=view.sort, empty="…", id=f"view-{view.key}"
            )

    def on_mount(self) -> None:
        """Show the first list."""
        self.bring(self.current.key)

    def table(self, key: str) -> FrameTable[Any]:
        """Return a list's table."""
        return self.query_one(f"#view-{key}", FrameTable)

    @property
    def front(self) -> FrameTable[Any]:
        """The table in front."""
        return self.table(self.current.key)

    def bring(self, key: str) -> None:
        """Bring a list to the front, with the keyboard where the one before had it."""
        had = self.front.has_focus
        self.current = next(view for view in VIEWS if view.key == key)
        for view in VIEWS:
            self.table(view.key).set_class(view is self.current, "-front")
        self.query_one(Names).mark(key)
        if had:
            self.screen.set_focus(self.front)
        self._parse()
        self._fill()

    def step(self, by: int) -> None:
        """Bring the next list, or the one before."""
        keys = [view.key for view in VIEWS]
        self.bring(keys[(keys.index(self.current.key) + by) % len(keys)])

    def show(self, subject: Subject | None) -> None:
        """Show a moment."""
        self._subject = subject
        self._fill()

    def filter(self, text: str) -> str:
        """Keep what a text accepts; return what is wrong with it."""
        self._text = text
        self._parse()
        self._fill()
        return self._filter.problem

    def note(self) -> list[Line]:
        """Return the item under the cursor in words."""
        item = self.front.selected
        if self._subject is None or item is None:
            return [cells.dim(f" {self.current.title}: {self.current.help}")]
        return self.current.note(item, self._subject)

    def path(self) -> str | None:
        """Return the path under the cursor that can be viewed and saved."""
        item = self.front.selected
        return None if item is None else self.current.path(item)

    def _parse(self) -> None:
        columns = [shown.column for shown in self.current.columns]
        self._filter = filters.parse(self._text, columns)

    def _fill(self) -> None:
        view, subject = self.current, self._subject
        if subject is None:
            self.front.show(())
            return
        asked = subject.asked
        made = (subject.container.id, asked.version, self._text, id(asked))
        if view.steady and self._made.get(view.key) == made:
            return
        self._made[view.key] = made
        self.front.tell(view.empty(asked))
        items = view.items(subject)
        if self._text.strip():
            items = self._kept(items)
        self.front.show(items)

    def _kept(self, items: Sequence[Any]) -> list[Any]:
        """Return what the filter accepts; in the tree with all that is above it."""
        kept = [item for item in items if self._filter.accepts(item)]
        if self.current is not FILES:
            return kept
        above: set[str] = set()
        for item in kept:
            path = item.item.path
            while path and path not in above:
                above.add(path)
                path = path.rpartition("/")[0]
        return [item for item in items if item.item.path in above]
