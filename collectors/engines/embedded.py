"""The runtime of this project, seen as an engine like any other."""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.engine import EngineContainer, EngineEvent, EngineReading, EngineShim
from collectors.errors import Missing, Unavailable
from runtime.errors import RuntimeFailure

if TYPE_CHECKING:
    from runtime.types import Container, Event
    from runtime.watching import Watcher

_KEPT = 200
_EPOCH = datetime.fromtimestamp(0, UTC)


class EmbeddedEngine:
    """Lists the embedded engine's containers, and what its journal of events has that is new."""

    name = "cinspect"

    def __init__(self, *, root: str, state: str) -> None:
        """Take the engine's own directories."""
        self.address = state
        self._root = root
        self._since: datetime | None = None
        self._at_since: list[Event] = []

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` where nothing was ever run, `Unavailable` when its records are bad."""
        # The client has no daemon to wait for: it reads a database and files, which blocks.
        return await asyncio.to_thread(self._read)

    def _read(self) -> EngineReading:
        if not os.path.isdir(self._root):
            raise Missing(self._root, "open", "no container was made yet")
        import sqlite3  # noqa: PLC0415 - as the runtime itself: only where there is an engine to ask

        try:
            return asyncio.run(self._ask())
        except (RuntimeFailure, OSError, sqlite3.Error) as error:
            raise Unavailable(self._root, "collect", str(error)) from error

    async def _ask(self) -> EngineReading:
        # Loaded only where there is an engine to ask: most hosts that are looked at have none.
        from runtime.watching import Watcher  # noqa: PLC0415

        watcher = Watcher(root=self._root, state=self.address)
        try:
            containers = watcher.containers()
            events = await self._events(watcher)
        finally:
            watcher.close()
        return EngineReading(
            name=self.name,
            version=None,
            address=self.address,
            containers=tuple(map(_container, containers)),
            events=tuple(map(_event, events)),
        )

    async def _events(self, watcher: "Watcher") -> Sequence["Event"]:
        """Return those that were not told yet; the first time the last ones that were kept."""
        found: deque[Event] = deque(maxlen=_KEPT if self._since is None else None)
        async for event in watcher.events(since=self._since or _EPOCH):
            # The journal is asked from the last event's own time on, and has that one again.
            if event not in self._at_since:
                found.append(event)
        if found:
            last = max(event.timestamp for event in found)
            kept = self._at_since if last == self._since else []
            self._at_since = [*kept, *(event for event in found if event.timestamp == last)]
            self._since = last
        return found


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
