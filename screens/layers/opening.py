"""Shows a file of a container, and saves a copy of it: of any layer that has one."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspector import units
from inspector.control import ActionFailed, TargetExists
from inspector.domains.containers.model import Container
from inspector.layers.model import PathReport
from screens import safe
from screens.dialogs.choose import Choice, ChooseDialog
from screens.dialogs.confirm import ConfirmDialog
from screens.dialogs.save import SaveDialog
from screens.dialogs.view import ViewDialog

if TYPE_CHECKING:
    from screens.base import SubjectScreen
    from screens.widgets.cells import Line

MOST_BYTES: Final = 1 << 20
"""What is shown of a file: reading it all could take the memory of the host."""
_WHOLE: Final = "whole"
_FAILURE_SECONDS: Final = 20.0

Use = Callable[[str | None], None]


def view(screen: "SubjectScreen", container: Container, path: str, *, may_save: bool) -> None:
    """Show a file; ask for a layer where several have one."""

    def chosen(layer: str | None) -> None:
        screen.run_worker(show(layer), group="view", exclusive=True)

    async def show(layer: str | None) -> None:
        files = screen.shell.control.files
        try:
            seen = await files.view(container, path, layer=layer, most_bytes=MOST_BYTES)
        except ActionFailed as problem:
            _say(screen, str(problem), failed=True)
            return

        def save_it() -> None:
            Saving(screen, container, path, layer).ask()

        screen.app.push_screen(ViewDialog(container.name, seen, save=save_it if may_save else None))

    screen.run_worker(_choose(screen, container, path, chosen), group="view", exclusive=True)


def save(screen: "SubjectScreen", container: Container, path: str) -> None:
    """Save a copy of a file; ask for a layer where several have one, and where to."""
    screen.run_worker(
        _choose(
            screen, container, path, lambda layer: Saving(screen, container, path, layer).ask()
        ),
        group="view",
        exclusive=True,
    )


async def _choose(screen: "SubjectScreen", container: Container, path: str, use: Use) -> None:
    """Find the versions of a path; where there is a choice, ask."""
    try:
        entry = await screen.shell.control.files.which(container, path)
    except ActionFailed:
        use(None)  # no layers: as the container has it
        return
    choices = _choices(entry)
    if len(choices) < 2:
        use(None if not choices or choices[0].key == _WHOLE else choices[0].key)
        return

    def chosen(key: str | None) -> None:
        if key is not None:
            use(None if key == _WHOLE else key)

    dialog = ChooseDialog(f"Which {safe.text(entry.path)}", choices, current=choices[0].key)
    screen.app.push_screen(dialog, chosen)


def _choices(entry: PathReport) -> list[Choice]:
    found: list[Choice] = []
    if entry.supplied_by is not None:
        found.append(Choice(_WHOLE, "what it sees", f"from {entry.supplied_by}"))
    for one in entry.versions:
        if one.kind == "file" and not one.supplies and not one.metacopy:
            key = one.layer.removeprefix("lower ")
            said = f"{units.size(one.size_bytes)}, {one.modified_at:%Y-%m-%d}, {one.why or ''}"
            found.append(Choice(key, one.layer, said.rstrip(", ")))
    return found


@dataclass(frozen=True, slots=True)
class Saving:
    """One copy that is being made: asks where to, and once more before it replaces anything."""

    screen: "SubjectScreen"
    container: Container
    path: str
    layer: str | None

    def ask(self) -> None:
        """Ask where it goes, and make it."""

        def answered(to: str | None) -> None:
            if to is not None:
                self.screen.run_worker(self._write(to, replace=False), group="save")

        self.screen.app.push_screen(SaveDialog(self.path, self.command), answered)

    def command(self, to: str) -> str:
        """Return the command line that does the same."""
        if self.layer is None and self.container.pid is None:
            words = shlex.join(["cinspect", "cat", self.container.name, self.path])
            return f"{words} > {shlex.quote(to)}"
        layer = () if self.layer is None else ("--layer", self.layer)
        return shlex.join(["cinspect", "cp", *layer, f"{self.container.name}:{self.path}", to])

    async def _write(self, to: str, *, replace: bool) -> None:
        files = self.screen.shell.control.files
        try:
            size = await files.save(
                self.container, self.path, to, layer=self.layer, replace=replace
            )
        except TargetExists:
            self._ask_again(to)
        except ActionFailed as problem:
            _say(self.screen, str(problem), failed=True)
        else:
            _say(self.screen, f"saved {units.size(size)} as {to}")

    def _ask_again(self, to: str) -> None:
        def agreed(yes: bool | None) -> None:  # noqa: FBT001 - Textual's callback
            if yes:
                self.screen.run_worker(self._write(to, replace=True), group="save")

        text: Line = ((" A file of this name is there: what is in it would be lost.", "plain"),)
        dialog = ConfirmDialog(f"Replace {to}?", [text], agree="Replace", command=self.command(to))
        self.screen.app.push_screen(dialog, agreed)


def _say(screen: "SubjectScreen", text: str, *, failed: bool = False) -> None:
    screen.app.notify(
        safe.text(text),
        severity="error" if failed else "information",
        timeout=_FAILURE_SECONDS if failed else None,
        markup=False,
    )
