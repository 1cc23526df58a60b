"""Reads the journal: what is kept, then what comes, across rotations and torn lines."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from runtime.types import Event

_POLL_SECONDS: Final = 0.1
_CHUNK: Final = 256 << 10
_LONGEST_LINE: Final = 1 << 20
_STEP: Final = 64 << 10
_DISORDER: Final = timedelta(seconds=10)
"""How much later than its time an event may have been written."""


class JournalFile:
    """One open journal file and the torn end of it that was read so far."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    @classmethod
    def open(cls, path: str) -> "JournalFile | None":
        """Open a file, or return None where there is none yet."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino

    def skip(self) -> None:
        """Go to the end."""
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def rewind(self, since: datetime) -> bool:
        """Go to where the events from `since` on begin; tell whether older ones are before it.

        Events are in the order of time but for a moment's scheduling, so that a reader that comes
        every second need not read the whole file again.
        """
        at = os.fstat(self._descriptor).st_size
        while at > 0:
            at = max(0, at - _STEP)
            for offset, event in self._complete(at):
                if event.timestamp < since - _DISORDER:
                    os.lseek(self._descriptor, at + offset, os.SEEK_SET)
                    return True
                break
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return False

    def _complete(self, at: int) -> Iterator[tuple[int, Event]]:
        """Yield the events that begin in the step at a position, with their offsets."""
        data = os.pread(self._descriptor, 2 * _STEP, at)
        offset = data.find(b"\n") + 1
        while 0 < offset < _STEP and (end := data.find(b"\n", offset)) >= 0:
            event = parse(data[offset:end])
            if event is not None:
                yield offset, event
            offset = end + 1

    def read(self) -> Iterator[Event]:
        """Yield the events that were completed since the last call; damaged lines are left out."""
        while data := os.read(self._descriptor, _CHUNK):
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LONGEST_LINE:
                self._rest = b""
            for line in lines:
                event = parse(line)
                if event is not None:
                    yield event

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def parse(line: bytes) -> Event | None:
    """Return the event of a line, or None if there is none in it (blank, or torn)."""
    try:
        record = json.loads(line)
        event = record["event"]
        return Event(
            timestamp=_timestamp(record["timestamp"]),
            namespace=record["engine_namespace"],
            topic=record["topic"],
            event=cast("dict[str, object]", event if isinstance(event, dict) else {}),
            source=record["source"],
            container=record.get("container"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _timestamp(text: str) -> datetime:
    """Read RFC 3339 with nine digits; datetime keeps six."""
    return datetime.fromisoformat(text.removesuffix("Z")[:26]).replace(tzinfo=UTC)


class _Tail:
    """The newest journal file and, for one more look, the one before it."""

    def __init__(self, path: str, *, since: datetime | None) -> None:
        self._path = path
        current = JournalFile.open(path)
        self._files = [] if current is None else [current]
        if since is None:
            if current is not None:
                current.skip()
        elif current is None or not current.rewind(since):
            older = JournalFile.open(path + ".1")
            if older is not None:
                older.rewind(since)
                self._files.insert(0, older)

    def poll(self) -> list[Event]:
        """Return what was written since the last poll."""
        events = [event for file in self._files for event in file.read()]
        # a writer that opened the file before it was renamed may still add a line to it: an old one
        # is let go only a poll after its successor was found
        while len(self._files) > 1:
            self._files.pop(0).close()
        if not self._files or self._files[-1].identity != _identity(self._path):
            successor = JournalFile.open(self._path)
            if successor is not None:
                self._files.append(successor)
        return events

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.pop().close()


async def follow(
    path: str, *, since: datetime | None, forever: bool = True
) -> AsyncIterator[Event]:
    """Yield events from `since` on (None: only those still to come), then each as it is written."""
    tail = _Tail(path, since=since)
    try:
        while True:
            for event in _not_before(since, tail.poll()):
                yield event
            if not forever:
                return
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        tail.close()


def _not_before(since: datetime | None, events: list[Event]) -> list[Event]:
    return [event for event in events if since is None or event.timestamp >= since]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
