"""Drives the application in tests: feeds it frames one by one, and reads what it has drawn."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from textual.pilot import Pilot

from inspector.frame import Frame
from screens.app import CinspectApp
from tests.screens import frames


class Fed:
    """A source that yields what a test feeds it; an exception is raised, None ends it."""

    def __init__(self, interval: float = 1.0) -> None:
        self.interval = interval
        self.begun = 0
        self._queue: asyncio.Queue[Frame | Exception | None] = asyncio.Queue()

    def feed(self, what: Frame | Exception | None) -> None:
        self._queue.put_nowait(what)

    async def frames(self) -> AsyncIterator[Frame]:
        self.begun += 1
        while True:
            what = await self._queue.get()
            if what is None:
                return
            if isinstance(what, Exception):
                raise what
            yield what


class Clock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Driven:
    """A running application with what a test moves it by."""

    app: CinspectApp
    pilot: Pilot[None]
    source: Fed
    control: frames.Recorder
    clock: Clock

    async def show(self, *shown: Frame) -> None:
        """Feed frames, each when the one before is on the screen."""
        for frame in shown:
            self.source.feed(frame)
            await self.until(lambda frame=frame: self.app.moment and self.app.moment.frame is frame)
        await self.pilot.pause()

    async def until(self, holds, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"did not come true on:\n{self.text}"
            await self.pilot.pause(0.005)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        names = {
            " ": "space",
            "/": "slash",
            "@": "at",
            "=": "equals_sign",
            ">": "greater_than_sign",
        }
        await self.press(*(names.get(char, char) for char in text))

    @property
    def lines(self) -> list[str]:
        """What the screen in front has drawn, line by line."""
        return drawn(self.app)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def line(self, part: str) -> str:
        """Return the first line with a text on it."""
        found = next((line for line in self.lines if part in line), None)
        assert found is not None, f"no {part!r} on:\n{self.text}"
        return found

    @property
    def toasts(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]


def drawn(app: CinspectApp) -> list[str]:
    """Return the lines of the screen in front, as the compositor has them."""
    strips = app.screen._compositor.render_strips()
    return [strip.text for strip in strips]


@contextlib.asynccontextmanager
async def running(
    *shown: Frame,
    size: tuple[int, int] = (120, 40),
    read_only: bool = False,
    control: frames.Recorder | None = None,
    keys: Sequence[str] = (),
) -> AsyncIterator[Driven]:
    """Run the application with these frames on it; without any, the canned host's second one."""
    source, clock, acts = Fed(), Clock(), control or frames.Recorder()
    app = CinspectApp(source, acts, read_only=read_only, clock=clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot, source, acts, clock)
        await driven.show(*(shown or (frames.frame(0), frames.frame(1))))
        await driven.press(*keys)
        yield driven
