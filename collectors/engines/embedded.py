"""The runtime of this project, seen as an engine like any other."""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from collectors.engine import EngineContainer, EngineEvent, EngineReading, EngineShim
from collectors.errors import Missing, Unavailable
from runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from runtime.types import Container, Event
    from runtime.watching import Watcher

_KEPT = 200
_EPOCH = datetime.fromtimestamp(0, UTC)
_OVERLAP = timedelta(seconds=2)

Mark = tuple[datetime, str, str, str | None, str]
"""What tells an event from others."""


class EmbeddedEngine:
    """Lists the embedded engine's containers, and what its journal of events has that is new."""

    name = "cinspect"

    def __init__(self, *, root: str, state: str) -> None:
        """Take the engine's own directories."""
        self.address = state
        self._root = root
        self._since: datetime | None = None
        self._recent: frozenset[Mark] = frozenset()
        """What was told of the last seconds."""

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` where nothing was ever run, `Unavailable` when its records are bad."""
        # The client has no daemon to wait for: it reads a database and files, which blocks.
        reading, events = await asyncio.to_thread(self._read)
        # Only now: a reading that nobody waited for any more has told nobody.
        self._tell(events)
        return reading

    def _read(self) -> tuple[EngineReading, Sequence["Event"]]:
        if not os.path.isdir(self._root):
            raise Missing(self._root, "open", "no container was made yet")
        import sqlite3  # noqa: PLC0415 - as the runtime itself: only where there is an engine to ask

        try:
            return asyncio.run(self._ask())
        except (RuntimeFailure, OSError, sqlite3.Error) as error:
            raise Unavailable(self._root, "collect", str(error)) from error

    async def _ask(self) -> tuple[EngineReading, Sequence["Event"]]:
        # Loaded only where there is an engine to ask: most hosts that are looked at have none.
        from runtime.watching import Watcher  # noqa: PLC0415

        watcher = Watcher(root=self._root, state=self.address)
        try:
            containers = watcher.containers()
            events = await self._events(watcher)
        finally:
            watcher.close()
        reading = EngineReading(
            name=self.name,
            version=None,
            address=self.address,
            containers=tuple(map(_container, containers)),
            events=tuple(map(_event, events)),
        )
        return reading, events

    async def _events(self, watcher: "Watcher") -> Sequence["Event"]:
        """Return those that were not told yet; the first time the last ones that were kept."""
        found: deque[Event] = deque(maxlen=_KEPT if self._since is None else None)
        # Each shim writes by itself: of two, the earlier event may be written later.
        since = _EPOCH if self._since is None else self._since - _OVERLAP
        async for event in watcher.events(since=since):
            if _mark(event) not in self._recent:
                found.append(event)
        return found

    def _tell(self, events: Sequence["Event"]) -> None:
        if not events:
            return
        last = max((event.timestamp for event in events), default=_EPOCH)
        self._since = max(last, self._since or _EPOCH)
        oldest = self._since - _OVERLAP
        marks = (*self._recent, *map(_mark, events))
        self._recent = frozenset(mark for mark in marks if mark[0] >= oldest)


def _mark(event: "Event") -> Mark:
    return (event.timestamp, event.source, event.topic, event.container, str(event.event))


def _container(container: "Container") -> EngineContainer:
    shim = container.shim
    return EngineContainer(
        id=container.id,
        engine="cinspect",
        name=container.name,
        engine_namespace=container.namespace,
        image=container.image,
        labels=container.labels,
        command=container.command,
        status=container.status,
        pid=container.pid,
        created_at=container.created_at,
        started_at=container.started_at,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        runtime=container.runtime,
        shim=EngineShim(shim.pid, shim.address, shim.version) if shim is not None else None,
        cgroup=container.cgroup,
        cgroup_manager=container.cgroup_manager,
        lowerdirs=container.lowerdirs,
        upperdir=container.upperdir,
        error=container.error,
    )


def _event(event: "Event") -> EngineEvent:
    return EngineEvent(
        timestamp=event.timestamp,
        source=event.source,
        topic=event.topic,
        engine_namespace=event.namespace,
        container=event.container,
        event=event.event,
    )
