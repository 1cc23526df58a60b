"""Frames from a run of samples: each is derived with the one before it, and events are kept."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, structs

from inspector.derive import derive
from inspector.domains.cgroups.window import Window
from inspector.domains.events import derive as events
from inspector.domains.events.model import Event, Identity, identity, said_name
from inspector.domains.events.same import Joiner
from inspector.frame import Cost, Frame
from inspector.memos import Memos
from inspector.sample import Sample, uncollected

if TYPE_CHECKING:
    from inspector.journal import Journal
    from inspector.kernel_events import KernelEvents

KEPT: Final = 2000
"""Events that a screen can look back on."""
_NAMES: Final = 4096
"""Containers whose names are remembered when they are gone."""


class Chain:
    """Remembers the sample before, for rates, and the last events. Not for two threads at once."""

    def __init__(
        self, *, keep: int = 0, journal: "Journal | None" = None, raw: bool = False
    ) -> None:
        """Keep so many events in each frame; with 0 a frame has only those that are new in it.

        What is new is written to the journal, and what is kept begins with what it has. With `raw`
        each source's account of an event is one.
        """
        self._keep = keep
        self._journal = journal
        self._joiner = None if raw else Joiner(keep=keep or KEPT)
        self._sample: Sample | None = None
        self._frame: Frame | None = None
        self._events: tuple[Event, ...] = ()
        self._seen: dict[Identity, None] = {}
        self._names: dict[str, str] = {}
        self._memos = Memos()
        self._window = Window()
        self._kernel: KernelEvents | None = None

    def advance(self, sample: Sample) -> Frame:
        """Return the next frame; what deriving it cost is in its cost."""
        began, cpu = time.monotonic(), time.thread_time()
        with uncollected():
            frame = derive(self._sample, sample, self._memos, self._window.add(sample))
            if frame.events is not UNSET:
                frame = self._remember(frame, sample)
        self._sample, self._frame = sample, frame
        cost = Cost(
            wall_seconds=round(frame.cost.wall_seconds + time.monotonic() - began, 6),
            cpu_seconds=round(frame.cost.cpu_seconds + time.thread_time() - cpu, 6),
            files_read=frame.cost.files_read,
        )
        return structs.replace(frame, cost=cost)

    def _remember(self, frame: Frame, sample: Sample) -> Frame:
        """Return the frame with its events."""
        told = list(frame.events) if frame.events is not UNSET else []
        before = self._frame
        if before is not None and before.containers is not UNSET:
            after = frame.containers if frame.containers is not UNSET else ()
            told.extend(events.observed(before.containers, after, sample))
        if before is not None and self._sample is not None:
            told.extend(self._happened(before, self._sample).advance(frame, sample, tuple(told)))
        new = self._named(self._new(told), frame, sample)
        if self._journal is not None:
            if before is None and self._keep:
                self._take(self._new(self._journal.read()[-self._keep :]))
            self._journal.append(new)
            if self._journal.problem is not None:
                frame = structs.replace(frame, errors=(*frame.errors, self._journal.problem))
        return structs.replace(frame, events=self._take(new))

    def _new(self, told: Iterable[Event]) -> list[Event]:
        """Return what was not told before, in the order of time: an engine may repeat what it said."""
        fresh: list[Event] = []
        for event in told:
            mark = identity(event)
            if mark not in self._seen:
                self._seen[mark] = None
                fresh.append(event)
        while len(self._seen) > 4 * KEPT:
            del self._seen[next(iter(self._seen))]
        fresh.sort(key=lambda event: event.timestamp)
        return fresh

    def _named(self, new: list[Event], frame: Frame, sample: Sample) -> list[Event]:
        """Add containers' names, and when it was heard of where its source does not say when it was."""
        for one in frame.containers if frame.containers is not UNSET else ():
            if self._names.get(one.id) != one.name:
                self._names.pop(one.id, None)
                self._names[one.id] = one.name
        while len(self._names) > _NAMES:
            del self._names[next(iter(self._names))]
        heard = max(sample.moments.values(), default=None)
        return [
            structs.replace(
                event,
                container_name=self._names.get(event.container or "") or said_name(event),
                monotonic_seconds=heard
                if event.monotonic_seconds is None
                else event.monotonic_seconds,
            )
            for event in new
        ]

    def _take(self, new: list[Event]) -> tuple[Event, ...]:
        """Return what a frame shows once these are there too."""
        if not self._keep:
            if self._joiner is None:
                return tuple(new)
            self._joiner.add(new)
            return tuple(self._joiner.take())
        if not new:
            return self._events
        if self._joiner is None:
            merged = sorted((*self._events, *new), key=lambda event: event.timestamp)
            self._events = tuple(merged[-self._keep :])
        else:
            self._joiner.add(new)
            self._events = self._joiner.events()
        return self._events

    def _happened(self, frame: Frame, sample: Sample) -> "KernelEvents":
        if self._kernel is None:
            # Only from the second frame on: nothing happens in one.
            from inspector.kernel_events import KernelEvents  # noqa: PLC0415

            self._kernel = KernelEvents(frame, sample)
        return self._kernel
