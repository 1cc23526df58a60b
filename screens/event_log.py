"""Events of many frames in one list, each of them once."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET

from inspector.domains.events.model import Event
from inspector.frame import Frame

_Seen = tuple[datetime, str, str, str | None, str]


class EventLog:
    """The last `capacity` events in the order of their times; a frame may repeat those of the one before."""

    def __init__(self, capacity: int = 5000) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._seen: set[_Seen] = set()
        self._order: deque[_Seen] = deque()
        self._capacity = capacity

    def add(self, frame: Frame) -> None:
        """Take in what is new in a frame."""
        if frame.events is UNSET:
            return
        fresh: list[Event] = []
        for event in frame.events:
            mark = _mark(event)
            if mark in self._seen:
                continue
            self._seen.add(mark)
            self._order.append(mark)
            fresh.append(event)
        while len(self._order) > 2 * self._capacity:
            self._seen.discard(self._order.popleft())
        if not fresh:
            return
        if self._events and fresh[0].timestamp < self._events[-1].timestamp:
            merged = sorted([*self._events, *fresh], key=lambda event: event.timestamp)
            self._events = deque(merged, maxlen=self._capacity)
        else:
            self._events.extend(sorted(fresh, key=lambda event: event.timestamp))

    def snapshot(self) -> Sequence[Event]:
        """Return the events there are now, oldest first."""
        return tuple(self._events)


def _mark(event: Event) -> _Seen:
    return (event.timestamp, event.source, event.topic, event.container, repr(event.event))
