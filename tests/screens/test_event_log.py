"""The log that the events screen draws: each event once, processes within their share."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from inspector.domains.events.model import Account, Event
from screens.event_log import EventLog
from tests.screens import frames

WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def event(topic: str, at: float = 0, source: str = "docker") -> Event:
    return Event(
        timestamp=WHEN + timedelta(seconds=at),
        source=source,
        topic=topic,
        engine_namespace=None,
        container="web",
        event={"at": at},
    )


def log(*shown: Sequence[Event], capacity: int = 100) -> Sequence[Event]:
    made = EventLog(capacity)
    for events in shown:
        made.add(structs.replace(frames.frame(0), events=tuple(events)))
    return made.snapshot()


def test_what_another_tells_of_it_later_is_in_the_same_event() -> None:
    alone = event("gone", 1, "kernel")
    both = structs.replace(
        event("/container/die", 0.9),
        seen_by=(Account("kernel", "gone", alone.timestamp),),
    )
    assert log([alone], [both]) == (both,)


def test_an_event_that_leaves_the_frame_stays_in_the_log() -> None:
    assert len(log([event("a", 1)], [event("b", 2)], [event("b", 2), event("c", 0)])) == 3


def test_processes_take_a_part_of_the_room_only() -> None:
    many = [event("process-born", at, "kernel") for at in range(10, 40)]
    kept = log([event(f"x{at}", at) for at in range(6)], many, capacity=8)
    assert [one.topic for one in kept] == [*(f"x{at}" for at in range(6)), *["process-born"] * 2]


@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=8))
def test_events_are_in_the_order_of_their_times_whenever_they_came(rows: list[list[int]]) -> None:
    shown = [[event(f"e{at}", at) for at in row] for row in rows]
    kept = log(*shown)
    assert [one.event["at"] for one in kept] == sorted({at for row in rows for at in row})
