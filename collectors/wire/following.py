"""Follows a stream of events over breaks: begins it anew, less and less often, and says what is lost.

For engines that keep no events: between the end of one stream and the beginning of the next nobody
knows what happened but the kernel.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Generic, Protocol, TypeVar

from collectors.engine import LOST, EngineEvent
from collectors.errors import CollectError, Problem
from collectors.wire.failures import Refused

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_FIRST: Final = 0.5
_LAST: Final = 60.0
"""Seconds before a stream that broke off is begun anew: twice as many each time, up to so many."""
_UNIMPLEMENTED: Final = 12


class Stream(Protocol[T_co]):
    """An open stream."""

    def take(self) -> Sequence[T_co]:
        """Return what came since the last call; raise a `CollectError` when it broke off."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Following(Generic[T]):
    """One engine's stream, as often as it takes."""

    def __init__(self, source: str, begin: Callable[[], Stream[T]]) -> None:
        """Take how events name the engine, and what begins a stream."""
        self._source = source
        self._begin = begin
        self._stream: Stream[T] | None = None
        self._missed: float | None = None
        """Since when, in seconds since 1970, nothing was told."""
        self._wait = _FIRST
        self._due = 0.0
        self.problem: Problem | None = None
        """Why there are no events now; None where there are, or where the engine has none at all."""

    def close(self) -> None:
        """End the stream; the next `open` or `take` begins another, and tells what was missed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self._missed = self._missed or time.time()

    def open(self) -> None:
        """Begin the stream, where it is not open: what happens from here on is told."""
        if self._stream is not None or time.monotonic() < self._due:
            return
        try:
            self._stream = self._begin()
        except CollectError as error:
            self._failed(error)

    def take(self) -> tuple[Sequence[T], tuple[EngineEvent, ...]]:
        """Return what came since the last time, and that something was missed if it was."""
        self.open()
        if self._stream is None:
            return (), ()
        try:
            found = self._stream.take()
        except CollectError as error:
            self.close()
            self._failed(error)
            return (), ()
        missed, self._missed = self._missed, None
        self.problem, self._wait = None, _FIRST
        return found, () if missed is None else (self._loss(missed),)

    def _failed(self, error: CollectError) -> None:
        self._due = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LAST)
        self.problem = error.problem()
        if isinstance(error, Refused) and error.status == _UNIMPLEMENTED:
            # An older one has none: nothing is wrong, and nothing is missed.
            self.problem, self._missed = None, None
            self._due = time.monotonic() + _LAST

    def _loss(self, since: float) -> EngineEvent:
        now = datetime.now(UTC)
        body = {
            "what": f"events of {self._source}",
            "since": datetime.fromtimestamp(since, UTC).isoformat(),
            "why": "the stream broke off, and it keeps none",
        }
        return EngineEvent(now, self._source, LOST, None, None, body)
