"""Live frames: one reader that draws them as it can, or many that share one sampler."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from functools import partial
from types import TracebackType
from typing import Self

from inspector.chain import KEPT, Chain
from inspector.frame import SECTIONS, Frame
from inspector.journal import Journal
from inspector.sampler import Sampler


class LiveSource:
    """Frames of the live host for one reader: each is taken when it is asked for, never before.

    A slow reader so gets fewer frames, each of them fresh, and none is queued.
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        sections: Collection[str] = SECTIONS,
        interval: float = 1.0,
        keep_events: int = KEPT,
        journal: Journal | None = None,
        raw: bool = False,
    ) -> None:
        """Take what the events of a frame are (`Chain`), and how often there is one."""
        self._sampler = sampler
        self._sections = frozenset(sections)
        self._interval = interval
        self._keep_events = keep_events
        self._journal = journal
        self._raw = raw

    @property
    def interval(self) -> float:
        """Seconds between two frames."""
        return self._interval

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield a frame at each interval, the first at once, until it is closed."""
        chain = Chain(keep=self._keep_events, journal=self._journal, raw=self._raw)
        due = time.monotonic()
        try:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                sample = await self._sampler.sample(self._sections)
                frame = await asyncio.to_thread(chain.advance, sample)
                yield frame
                # From when it was due, so that the pace does not drift; what was missed is left out.
                due = max(due + self._interval, time.monotonic())
        finally:
            if self._journal is not None:
                self._journal.close()


class Hub:
    """Shares one source among many readers: each gets the newest frame, and none waits for another.

    Use it in an `async with`: readers are served while it is open, and end when it is closed.
    """

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._group = asyncio.TaskGroup()
        self._changed = asyncio.Condition()
        self._latest: Frame | None = None
        self._serial = 0
        self._closed = False
        self._pump: asyncio.Task[None] | None = None

    @property
    def interval(self) -> float:
        """Seconds between two frames."""
        return self._source.interval

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._pump = self._group.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pump is not None:
            self._pump.cancel()
        await self._close()
        await self._group.__aexit__(kind, error, traceback)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield the newest frame each time there is one that this reader has not had."""
        seen = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(partial(self._newer, seen))
                if self._closed:
                    return
                seen, frame = self._serial, self._latest
            if frame is not None:
                yield frame

    def _newer(self, seen: int) -> bool:
        return self._closed or self._serial > seen

    async def _run(self) -> None:
        try:
            async for frame in self._source.frames():
                async with self._changed:
                    self._latest = frame
                    self._serial += 1
                    self._changed.notify_all()
        finally:
            await self._close()

    async def _close(self) -> None:
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
