"""The journal of the event stream: what happened before this cinspect started. One line an event.

Whoever looks for long (the dashboard, watch, events) keeps it, if root and not told to leave all as
it is: the first takes a lock, flock(2), and writes; others only read, and the next takes over when
it ends. So each event is there once. Births and ends of processes have a file of their own, for they
would push all else out. A file that is full is renamed, and one old one is kept. A line that is torn,
by a full disk or a sudden end, costs that line. Before the events of each boot stands its id: the
monotonic clock and the pids of another boot mean nothing in this one.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct, structs

from collectors.errors import Problem
from inspector.domains.events.model import Event, Identity, identity
from inspector.output import json

LIMIT_BYTES: Final = 4 << 20
"""Of one file; there are two kinds, and an old one of each."""
_STREAMS: Final = ("stream", "processes")
_LONGEST: Final = 64 << 10
_TAIL: Final = 512 << 10
"""Bytes that are looked at before writing, so that what is there is not written again."""
_KNOWN: Final = 8192


class _Boot(Struct, frozen=True, forbid_unknown_fields=True):
    """The line before the events of a boot."""

    boot_id: str


_BOOT: Final = msgspec.json.Decoder(_Boot)
_EVENT: Final = msgspec.json.Decoder(Event)


class Journal:
    """The journal in one directory, below the one of persistent data."""

    def __init__(
        self, directory: str, *, boot_id: str, write: bool, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        """Touch nothing yet; without `write` it is only ever read."""
        self._directory = directory
        self._boot = boot_id
        self._write = write
        self._limit = limit_bytes
        self._lock: int | None = None
        self._known: dict[Identity, None] = {}
        self._begun: set[str] = set()
        """Files that have this boot's id from this writer."""
        self.problem: Problem | None = None
        """Why what was to be written last was not."""

    def close(self) -> None:
        """Let another one write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            self._known, self._begun = {}, set()

    def read(self, since: datetime | None = None) -> list[Event]:
        """Return the events that are kept, from a time on, in the order of their times."""
        found: list[Event] = []
        for stream in _STREAMS:
            for name in (f"{stream}.ndjson.1", f"{stream}.ndjson"):
                with contextlib.suppress(OSError):
                    data = self._bytes(name)
                    found += events(data, self._boot)
        if since is not None:
            found = [event for event in found if event.timestamp >= since]
        found.sort(key=lambda event: event.timestamp)
        return found

    def append(self, new: Iterable[Event]) -> bool:
        """Add events; return whether this one is who writes. What goes wrong is in `problem`."""
        if not self._write:
            return False
        new = tuple(new)
        if not new:
            return self._lock is not None
        self.problem = None
        try:
            if self._lock is None and not self._begin():
                return False
            fresh = [event for event in new if self._is_new(event)]
            for stream in _STREAMS:
                lines = [_line(event) for event in fresh if _stream(event) == stream]
                if lines:
                    self._add(stream, b"".join(lines))
        except OSError as error:
            reason = error.strerror or str(error)
            self.problem = Problem(self._directory, "write", "unavailable", reason)
        return self._lock is not None

    def _begin(self) -> bool:
        """Take the lock; return whether it was free."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        lock = _opened(os.path.join(self._directory, "stream.lock"), os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        for stream in _STREAMS:
            with contextlib.suppress(OSError):
                for event in events(self._bytes(f"{stream}.ndjson", most=_TAIL), self._boot):
                    self._is_new(event)
        return True

    def _is_new(self, event: Event) -> bool:
        mark = identity(event)
        if mark in self._known:
            return False
        self._known[mark] = None
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        return True

    def _add(self, stream: str, lines: bytes) -> None:
        path = os.path.join(self._directory, f"{stream}.ndjson")
        descriptor = _opened(path, os.O_WRONLY | os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            # A newline first: what another did not end must not spoil the next line too.
            head = b"\n"
            if size == 0 or stream not in self._begun:
                head += json.encode(_Boot(self._boot))
            _whole(descriptor, head + lines)
        finally:
            os.close(descriptor)
        self._begun.add(stream)
        if size + len(lines) > self._limit:
            os.rename(path, f"{path}.1")

    def _bytes(self, name: str, *, most: int | None = None) -> bytes:
        descriptor = os.open(
            os.path.join(self._directory, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        )
        with os.fdopen(descriptor, "rb") as file:
            if most is not None:
                file.seek(max(0, os.fstat(descriptor).st_size - most))
            return file.read(4 * LIMIT_BYTES)


def events(data: bytes, boot: str) -> Iterator[Event]:
    """Yield the events of a file; lines that are damaged, or none, are left out."""
    current: str | None = None
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            if line.startswith(b'{"boot_id"'):
                current = _BOOT.decode(line).boot_id
                continue
            event = _EVENT.decode(line)
        except (msgspec.DecodeError, RecursionError):
            continue
        if event.timestamp.tzinfo is None:
            continue
        if current != boot:
            event = structs.replace(event, monotonic_seconds=None)
        yield event


def _stream(event: Event) -> str:
    return "processes" if event.topic.startswith("process-") else "stream"


def _line(event: Event) -> bytes:
    line = json.encode(event)
    if len(line) <= _LONGEST:
        return line
    return json.encode(structs.replace(event, event={"left_out_bytes": len(line)}))


def _opened(path: str, flags: int) -> int:
    """Open or make a file of this user's own; raise OSError, PermissionError of another's."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(f"{path} is not a file of user {os.geteuid()}")
    return descriptor


def _whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
