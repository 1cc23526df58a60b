"""The events of Docker's API, each once, over breaks in between; Podman's service tells the same way.

They are asked for since the last time, and, where the engine can, then followed: an open answer that
is looked at in each reading. When that breaks off, they are asked for again since the last time, a
little earlier: what was told already is known by its nanosecond. Docker keeps its last 256 events in
memory only: where that was not enough, that some are lost is an event too.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from collectors.decoding import decode, instant
from collectors.engine import LOST, EngineEvent
from collectors.errors import CollectError, Problem

if TYPE_CHECKING:
    from collectors.wire.http import Http
    from collectors.wire.http_lines import HttpLines

_OVERLAP: Final = 2.0
"""Seconds: an event is filed a moment after its time."""
_REMEMBERED: Final = 60.0
"""Seconds for which it is known that an event was told, counted from the newest."""
_KEPT: Final = 200
_UNTOLD: Final = 10_000
"""Events that wait for a reading that succeeds."""
_IN_MEMORY: Final = 256
"""What Docker keeps."""

Mark = tuple[int, str]
"""What tells an event from others: its nanosecond, and what happened to whom."""


class Actor(Struct, rename="pascal"):
    """What an event is about."""

    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = None


class Happened(Struct):
    """One line of `/events`."""

    type: str = msgspec.field(name="Type", default="")
    action: str = msgspec.field(name="Action", default="")
    actor: Actor = msgspec.field(name="Actor", default_factory=Actor)
    time_nano: int = msgspec.field(name="timeNano", default=0)
    time: int = 0


class Events:
    """Asks one engine for its events."""

    def __init__(
        self, source: str, path: str, *, target: str, first_seconds: float, follow: str | None
    ) -> None:
        """Take what to GET for what is over, with `{since}` and `{until}` in it, and to `follow`.

        `first_seconds` is how far back the first time goes; None for `follow`: it is asked each time.
        """
        self._source = source
        self._path = path
        self._target = target
        self._first_seconds = first_seconds
        self._follow = follow
        self._until: float | None = None
        self._told: dict[Mark, float] = {}
        self._stream: HttpLines | None = None
        self.problem: Problem | None = None
        """What the last reading could not tell."""
        self._untold: list[EngineEvent] = []
        """Until whoever reads has all that it asked for: a reading that fails on the way tells nobody."""

    def close(self) -> None:
        """Follow no longer; the next reading asks since this one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def read(self, http: "Http") -> tuple[EngineEvent, ...]:
        """Return new events, oldest first; the first time those that the engine kept, at most 200.

        They are returned again until `told`. What goes wrong with them is in `problem`: it must not
        cost the containers.
        """
        await self._read(http)
        over = len(self._untold) - _UNTOLD
        if over > 0:
            self._untold[: over + 1] = [self._loss(time.time())]
        return tuple(self._untold)

    def told(self) -> None:
        """Take it that what `read` returned last was told."""
        self._untold.clear()

    async def _read(self, http: "Http") -> None:
        self.problem = None
        first, now = self._until is None, time.time()
        try:
            if self._stream is not None:
                found = self._parsed(self._stream.take())
                self._until = now
                self._untold += self._new(found)
                return
        except CollectError:
            self.close()  # what it would have told is asked for
        try:
            events = await self._asked(http, now)
            self._untold += events[-_KEPT:] if first else events
            if self._follow is not None and not first:
                from collectors.wire.http_lines import HttpLines  # noqa: PLC0415 - only who stays follows

                since = f"{now - _OVERLAP:.6f}"
                self._stream = HttpLines(self._path, self._follow.format(since=since))
        except CollectError as error:
            self.problem = error.problem()

    async def _asked(self, http: "Http", now: float) -> tuple[EngineEvent, ...]:
        since = now - self._first_seconds if self._until is None else self._until - _OVERLAP
        target = self._target.format(since=f"{max(since, 1):.6f}", until=f"{now:.6f}")
        found = self._parsed((await http.get_bytes(target)).splitlines())
        lost = self._until is not None and self._lost(found, since)
        self._until = now
        events = self._new(found)
        return (self._loss(now), *events) if lost else events

    def _lost(self, found: list[tuple[EngineEvent, Mark]], since: float) -> bool:
        """Return whether the engine keeps less than was asked for."""
        if len(found) >= _IN_MEMORY and found[0][1] not in self._told and self._follow is not None:
            return True
        # It was told what it does not know any more: it has begun anew.
        known = {mark for mark, at in self._told.items() if at >= since}
        return bool(known) and known.isdisjoint(mark for _, mark in found)

    def _loss(self, now: float) -> EngineEvent:
        body = {"what": f"events of {self._source}", "why": "it does not keep them for so long"}
        at = instant(now)
        if at is None:
            raise AssertionError("now is a time")
        return EngineEvent(at, self._source, LOST, None, None, body)

    def _new(self, found: list[tuple[EngineEvent, Mark]]) -> tuple[EngineEvent, ...]:
        new: list[EngineEvent] = []
        for event, mark in found:
            if mark not in self._told:
                self._told[mark] = event.timestamp.timestamp()
                new.append(event)
        if new:
            oldest = max(self._told.values()) - _REMEMBERED
            self._told = {mark: at for mark, at in self._told.items() if at >= oldest}
        return tuple(new)

    def _parsed(self, lines: Iterable[bytes]) -> list[tuple[EngineEvent, Mark]]:
        """Return the events of lines; one that is none is left out, and is a problem."""
        found: list[tuple[EngineEvent, Mark]] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                found.append(event(self._source, line))
            except (msgspec.DecodeError, ValueError) as error:
                message = f"not an event: {error}"
                self.problem = Problem(self._path, "GET /events", "format", message)
        return found


def event(source: str, line: bytes) -> tuple[EngineEvent, Mark]:
    """Return the event of a line, one JSON object, and its mark; raise `DecodeError` or ValueError."""
    said = decode(line, Happened)
    raw = decode(line, dict[str, object])
    nanoseconds = said.time_nano or said.time * 1_000_000_000
    timestamp = instant(nanoseconds / 1e9)
    if timestamp is None:
        raise ValueError(f"not a time: {nanoseconds}")
    action, _, _ = said.action.partition(":")
    made = EngineEvent(
        timestamp=timestamp,
        source=source,
        topic=f"/{said.type}/{action}",
        engine_namespace=None,
        container=said.actor.id if said.type == "container" else None,
        event=raw,
    )
    return made, (nanoseconds, f"{said.type} {said.action} {said.actor.id}")
