"""A start or an exec as a waterfall: the events of one container that follow each other closely."""

from collections.abc import Sequence
from typing import Final

from inspector import units
from inspector.domains.events.model import Event
from screens.widgets import cells
from screens.widgets.cells import Line

_APART: Final = 1.0
"""Seconds without an event that end a run of them."""


def run_around(events: Sequence[Event], chosen: Event) -> list[Event]:
    """Return the events of the chosen one's container, from the last pause before it to the next one after."""
    own = [event for event in events if event.container == chosen.container]
    at = next((place for place, event in enumerate(own) if event is chosen), None)
    if at is None:
        return [chosen]
    first = last = at
    while first > 0 and _between(own[first - 1], own[first]) <= _APART:
        first -= 1
    while last + 1 < len(own) and _between(own[last], own[last + 1]) <= _APART:
        last += 1
    return own[first : last + 1]


def waterfall(events: Sequence[Event], width: int) -> list[Line]:
    """Return a line for each event: when it came, how long after the one before, where in the whole."""
    if not events:
        return []
    whole = max(1e-6, _between(events[0], events[-1]))
    names = max(len(event.topic) for event in events)
    room = max(8, width - min(names, 26) - 26)
    lines: list[Line] = []
    before = events[0]
    for event in events:
        start = round(_between(events[0], before) / whole * (room - 1))
        end = round(_between(events[0], event) / whole * (room - 1))
        bar = " " * start + "━" * max(1, end - start) + "●"
        lines.append(
            (
                (f" {units.interval(_between(events[0], event)):>8} ", "dim"),
                *cells.fit(((event.topic, "bold"),), min(names, 26)),
                (f" {_after(before, event):>10}  ", "plain"),
                (bar, "accent"),
            )
        )
        before = event
    total = units.interval(_between(events[0], events[-1]))
    lines += [cells.BLANK, ((f" {len(events)} events in {total}", "bold"),)]
    return lines


def _after(before: Event, event: Event) -> str:
    return "" if before is event else f"+{units.interval(_between(before, event))}"


def _between(first: Event, second: Event) -> float:
    return (second.timestamp - first.timestamp).total_seconds()
