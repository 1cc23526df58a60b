"""A sample: everything the collectors and the engines said at about one moment, not interpreted."""

import gc
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import compress, count
from operator import eq, is_not
from typing import TypeVar

from msgspec import Struct

from collectors.collector import Key
from collectors.engine import EngineReading
from collectors.errors import Problem

T = TypeVar("T")
K = TypeVar("K")


@contextmanager
def uncollected() -> Generator[None, None, None]:
    """Let no garbage be looked for meanwhile: what is made are records without cycles, most of them kept.

    On a host of 11,000 processes that was a third of the time. Afterwards they are looked at once.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class EngineAnswer(Struct, frozen=True, kw_only=True):
    """What came of asking one engine; neither reading nor error: it is not there."""

    name: str
    address: str | None
    reading: EngineReading | None = None
    error: str | None = None


class Sample(Struct, frozen=True, kw_only=True):
    """Readings by name, with those that failed as problems."""

    taken_at: datetime
    sections: frozenset[str]
    """What was asked for; a reading that none of them needs is absent."""
    readings: Mapping[str, object]
    moments: Mapping[str, float]
    """By reading: the middle of its taking, in monotonic seconds; rates are over these."""
    engines: tuple[EngineAnswer, ...] = ()
    problems: tuple[Problem, ...] = ()
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    files_read: int = 0

    def get(self, key: Key[T]) -> T | None:
        """Return a reading; None when it was not taken, or could not be."""
        reading = self.readings.get(key.name)
        return reading if isinstance(reading, key.type) else None


def elapsed(previous: Sample | None, current: Sample, key: Key[T]) -> float | None:
    """Return the seconds between two readings of a kind; None without two, or with no time between."""
    if previous is None:
        return None
    before, after = previous.moments.get(key.name), current.moments.get(key.name)
    if before is None or after is None or after <= before:
        return None
    return after - before


def rate(before: float | None, after: float | None, seconds: float | None) -> float | None:
    """Return a counter's change a second; None when one is unknown or the counter went back."""
    if before is None or after is None or seconds is None or after < before:
        return None
    return (after - before) / seconds


def differing(before: Sequence[object], now: Sequence[object]) -> list[int] | None:
    """Return where two rows have not the same objects; None where one of them is longer."""
    if len(before) != len(now):
        return None
    return list(compress(count(), map(is_not, before, now)))


def other_values(before: Mapping[K, object], now: Mapping[K, object]) -> list[K] | None:
    """Return the keys that have another object now; None where not the same keys are there, in order."""
    if len(before) != len(now) or not all(map(eq, before, now)):
        return None
    return list(compress(now, map(is_not, before.values(), now.values())))
