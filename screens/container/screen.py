"""One container in full, on a page that scrolls and lives on with each sample."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from screens.base import SubjectScreen
from screens.container.page import page
from screens.moment import Moment
from screens.widgets.cells import Line
from screens.widgets.lines import Lines


class ContainerScreen(SubjectScreen):
    """Everything about one container. Esc leads back to the list."""

    NAME = "containers"
    FOLLOWS = False
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (("Esc", "back"),)

    def __init__(self, identity: str, *, may_act: bool) -> None:
        super().__init__(may_act=may_act)
        self._identity = identity
        self._filter = ""

    def body(self) -> ComposeResult:
        """The page."""
        yield Lines(id="page")

    def on_mount(self) -> None:
        """Show what is there."""
        super().on_mount()
        self.refresh_all()

    def show(self, moment: Moment) -> None:
        """Build the page from a moment; a container that went away keeps its last one, marked."""
        container = moment.container_by_id.get(self._identity)
        lines = self.query_one("#page", Lines)
        if container is None:
            note: Line = (
                ("  ✖ it is gone: no container of this id is in the newest sample", "failed"),
            )
            rest = lines.lines if lines.lines and lines.lines[0] != note else lines.lines[1:]
            lines.show(lambda _: [note, *rest])
            return
        needle = self._filter.casefold()

        def build(width: int) -> Sequence[Line]:
            built = page(container, moment, width)
            if not needle:
                return built
            return [
                line for line in built if needle in "".join(value for value, _ in line).casefold()
            ]

        lines.show(build)

    def subject(self) -> str | None:
        """Return the container's id."""
        return self._identity

    def filter_changed(self, text: str) -> str:
        """Keep the lines that have the text in them."""
        self._filter = text
        if self.shell.moment is not None:
            self.show(self.shell.moment)
        return ""

    def focus_body(self) -> None:
        """Give the keyboard to the page."""
        self.set_focus(self.query_one("#page", Lines))
