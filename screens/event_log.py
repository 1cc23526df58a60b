"""Events of many frames in one list, each of them once."""

from collections.abc import Sequence

from msgspec import UNSET

from inspector.domains.events.model import Event, Identity, identity
from inspector.frame import Frame


class EventLog:
    """The last `capacity` events in the order of their times; a frame may repeat those of the one before.

    An event of which another source tells later is there with both accounts, in the place of the
    first. Births and ends of processes take a quarter of the room at most.
    """

    def __init__(self, capacity: int = 5000) -> None:
        self._capacity = capacity
        self._events: dict[Identity, Event] = {}
        self._taken: tuple[Event, ...] = ()
        self._snapshot: tuple[Event, ...] = ()

    def add(self, frame: Frame) -> None:
        """Take in what is new in a frame."""
        if frame.events is UNSET or frame.events is self._taken:
            return
        known = set(map(id, self._taken))
        self._taken = frame.events
        fresh = [event for event in frame.events if id(event) not in known]
        if not fresh:
            return
        fresh.sort(key=lambda event: event.timestamp)
        # What is later than all that is there needs no place among it.
        later = not self._snapshot or fresh[0].timestamp >= self._snapshot[-1].timestamp
        for event in fresh:
            self._events[identity(event)] = event
        told = {
            (one.timestamp, one.source, one.topic, event.container)
            for event in fresh
            for one in event.seen_by
        }
        if told:
            for mark in [mark for mark in self._events if mark[:4] in told]:
                del self._events[mark]
        items = list(self._events.items())
        kept = self._within(items if later else sorted(items, key=_at))
        self._events = dict(kept)
        self._snapshot = tuple([event for _, event in kept])

    def snapshot(self) -> Sequence[Event]:
        """Return the events there are now, oldest first."""
        return self._snapshot

    def _within(self, items: list[tuple[Identity, Event]]) -> list[tuple[Identity, Event]]:
        over = len(items) - self._capacity
        if over <= 0:
            return items
        many = [mark for mark, event in items if event.topic.startswith("process-")]
        spare = max(0, min(over, len(many) - self._capacity // 4))
        dropped = set(many[:spare])
        return [item for item in items if item[0] not in dropped][-self._capacity :]


def _at(item: tuple[Identity, Event]) -> float:
    return item[1].timestamp.timestamp()
