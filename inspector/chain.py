"""Frames from a run of samples: each is derived with the one before it, and events are kept."""

import time
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, structs

from inspector.derive import derive
from inspector.domains.events import derive as events
from inspector.domains.events.model import Event
from inspector.frame import Cost, Frame
from inspector.memos import Memos
from inspector.sample import Sample

if TYPE_CHECKING:
    from inspector.kernel_events import KernelEvents

KEPT: Final = 2000
"""Events that a screen can look back on."""


class Chain:
    """Remembers the sample before, for rates, and the last events. Not for two threads at once."""

    def __init__(self, *, keep: int = 0) -> None:
        """Keep so many events in each frame; with 0 a frame has only those that are new in it."""
        self._keep = keep
        self._sample: Sample | None = None
        self._frame: Frame | None = None
        self._events: tuple[Event, ...] = ()
        self._memos = Memos()
        self._kernel: KernelEvents | None = None

    def advance(self, sample: Sample) -> Frame:
        """Return the next frame; what deriving it cost is in its cost."""
        began, cpu = time.monotonic(), time.thread_time()
        frame = derive(self._sample, sample, self._memos)
        if frame.events is not UNSET:
            frame = structs.replace(frame, events=self._remember(frame, sample))
        self._sample, self._frame = sample, frame
        cost = Cost(
            wall_seconds=round(frame.cost.wall_seconds + time.monotonic() - began, 6),
            cpu_seconds=round(frame.cost.cpu_seconds + time.thread_time() - cpu, 6),
            files_read=frame.cost.files_read,
        )
        return structs.replace(frame, cost=cost)

    def _remember(self, frame: Frame, sample: Sample) -> tuple[Event, ...]:
        new = list(frame.events) if frame.events is not UNSET else []
        before = self._frame
        if before is not None and before.containers is not UNSET:
            after = frame.containers if frame.containers is not UNSET else ()
            new.extend(events.observed(before.containers, after, sample))
        if before is not None and self._sample is not None:
            new.extend(self._happened(before, self._sample).advance(frame, sample, tuple(new)))
        if not self._keep:
            return merge((), new)
        self._events = merge(self._events, new)[-self._keep :]
        return self._events

    def _happened(self, frame: Frame, sample: Sample) -> "KernelEvents":
        if self._kernel is None:
            # Only from the second frame on: nothing happens in one.
            from inspector.kernel_events import KernelEvents  # noqa: PLC0415

            self._kernel = KernelEvents(frame, sample)
        return self._kernel


def merge(old: tuple[Event, ...], new: list[Event]) -> tuple[Event, ...]:
    """Return both in the order of their times, each once: an engine may repeat one when asked again."""
    if not new:
        return old
    known = {_identity(event) for event in old}
    fresh: list[Event] = []
    for event in new:
        identity = _identity(event)
        if identity not in known:
            known.add(identity)
            fresh.append(event)
    return tuple(sorted((*old, *fresh), key=lambda event: event.timestamp))


def _identity(event: Event) -> tuple[object, ...]:
    return (event.timestamp, event.source, event.topic, event.container, repr(event.event))
