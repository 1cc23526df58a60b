"""Asks about a container's layers for the layers screen, one question of a kind at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from textual.worker import Worker

from inspector import units
from inspector.control import ActionFailed, Files, Weighed
from inspector.domains.containers.model import Container
from screens.layers.asked import Asked
from screens.layers.files import ROOT

if TYPE_CHECKING:
    from screens.base import SubjectScreen

_REST: Final = 10
"""Times that a walk took, until the next one: it takes a tenth of a core's time at most."""
_SHORTEST: Final = 2.0
"""Seconds between two walks, however short they are."""
_KEPT: Final = 8
"""Containers whose answers are kept."""


class Inquiry:
    """Holds the answers of a few containers, and the questions that are on their way."""

    def __init__(self, screen: "SubjectScreen") -> None:
        self._screen = screen
        self._asked: dict[str, Asked] = {}
        self._weighing: Worker[None] | None = None
        self._watching: tuple[str, Worker[None]] | None = None
        self.said = ""

    def of(self, identity: str) -> Asked:
        """Return what was asked of a container."""
        found = self._asked.get(identity)
        if found is None:
            while len(self._asked) >= _KEPT:
                del self._asked[next(iter(self._asked))]
            found = self._asked[identity] = Asked()
        return found

    @property
    def weighing(self) -> bool:
        """Whether all layers are being weighed."""
        return self._weighing is not None and not self._weighing.is_finished

    def keep(self, container: Container | None, view: str) -> None:
        """Ask for what a list in front needs and nobody asked for yet."""
        watched = self._watching[0] if self._watching is not None else None
        if watched is not None and (
            view != "writes" or container is None or watched != container.id
        ):
            self.rest()
        if container is None:
            return
        asked = self.of(container.id)
        if view == "writes" and self._watching is None and not asked.problems.get(view):
            self._watching = (container.id, self._run(view, asked, self._watch(container)))
        elif view in asked.begun:
            return
        elif view == "files":
            self._run(view, asked, self._list(container, ROOT))
        elif view == "deleted":
            self._run(view, asked, self._deleted(container))

    def again(self, container: Container, view: str) -> None:
        """Ask anew."""
        asked = self.of(container.id)
        asked.problems.pop(view, None)
        asked.begun.discard(view)
        self.rest()
        if view in {"wasted", "changes"}:
            self.weigh(container)
        for directory in asked.opened if view == "files" else ():
            self._run(f"files {directory}", asked, self._list(container, directory))
        self.keep(container, view)

    def rest(self) -> None:
        """Walk nothing again and again any more."""
        if self._watching is not None:
            self._watching[1].cancel()
        self._watching = None

    def open(self, container: Container, path: str) -> None:
        """Open a directory: it is read anew each time."""
        asked = self.of(container.id)
        asked.opened.add(path)
        self._run(f"files {path}", asked, self._list(container, path))

    def weigh(self, container: Container) -> None:
        """Walk all layers."""
        asked = self.of(container.id)
        self.said = "walking the upper layer… Esc stops it"
        self._weighing = self._run("wasted", asked, self._weigh(container))

    def stop(self) -> None:
        """Stop the weighing; what it found so far stays, and is said to be a part."""
        if self.weighing and self._weighing is not None:
            self._weighing.cancel()
            self.said = "stopped"
        else:
            self.said = ""
        self._weighing = None

    def _run(self, view: str, asked: Asked, question: Awaitable[None]) -> Worker[None]:
        name = view.partition(" ")[0]
        asked.begun.add(name)
        return self._screen.run_worker(
            self._answered(name, asked, question),
            group=f"layers {view}",
            exclusive=True,
        )

    async def _answered(self, view: str, asked: Asked, question: Awaitable[None]) -> None:
        try:
            await question
        except ActionFailed as problem:
            asked.answered(view, str(problem))
            if view == "wasted":
                self.said = str(problem)
        self._redraw()

    def _redraw(self) -> None:
        """Show an answer; one that comes when another screen is in front waits, and asks for nothing more.

        One that comes while the application is left finds parts of the screen taken down already.
        """
        if self._screen.is_current and self._screen.app.is_running:
            self._screen.refresh_all()

    @property
    def _files(self) -> Files:
        return self._screen.shell.control.files

    async def _list(self, container: Container, path: str) -> None:
        asked = self.of(container.id)
        try:
            asked.listings[path] = await self._files.listing(container, path)
        except ActionFailed as problem:
            asked.opened.discard(path)
            if path == ROOT:
                raise
            self._screen.app.notify(str(problem), severity="error", markup=False)
        asked.answered("files")

    async def _deleted(self, container: Container) -> None:
        asked = self.of(container.id)
        asked.deleted = await self._files.deleted(container)
        asked.answered("deleted")

    async def _watch(self, container: Container) -> None:
        """Walk again and again, as long as the list is in front."""
        asked = self.of(container.id)
        while True:
            began = time.monotonic()
            asked.growth = await self._files.growth(container) or asked.growth
            asked.answered("writes")
            self._redraw()
            await asyncio.sleep(max(_SHORTEST, _REST * (time.monotonic() - began)))

    async def _weigh(self, container: Container) -> None:
        asked = self.of(container.id)
        asked.report = await self._screen.shell.control.layers(container)
        asked.weighed = await self._files.weigh(container, self._told(asked))
        asked.answered("wasted")
        waste = asked.weighed.waste
        bounded = "all layers are weighed" if waste.complete else "not everything could be read"
        self.said = f"{bounded}: {units.count(waste.entries)} entries"

    def _told(self, asked: Asked) -> Callable[[Weighed], None]:
        def tell(weighed: Weighed) -> None:
            if not self.weighing:
                return
            asked.weighed = weighed
            asked.answered("wasted")
            done = units.percent(weighed.waste.walked_ratio)
            entries = units.count(weighed.waste.entries)
            self.said = f"weighing: {done}, {entries} entries… Esc stops it"
            self._redraw()

        return tell
