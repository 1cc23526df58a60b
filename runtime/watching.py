"""The engine's containers and events for who only watches: no lock, no shim, and little to load."""

import os
from collections.abc import AsyncIterator
from datetime import datetime

from runtime import identifiers
from runtime.events import reader
from runtime.metadata.store import Store
from runtime.paths import Paths
from runtime.types import Container, Event


class Watcher:
    """What `Runtime` tells of containers and events, without what it can do to them."""

    def __init__(self, *, root: str, state: str, namespace: str = "default") -> None:
        self._paths = Paths(
            os.path.abspath(root), os.path.abspath(state), identifiers.check_namespace(namespace)
        )
        self._store = Store(self._paths.database, namespace=self._paths.namespace)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def containers(self) -> tuple[Container, ...]:
        """Return as `Runtime.containers` does."""
        records = self._store.containers()
        if not records:
            return ()
        # Telling a status takes the controllers of cgroups: only where there is one to tell.
        from runtime.snapshots.overlay import OverlaySnapshotter  # noqa: PLC0415
        from runtime.tasks import status  # noqa: PLC0415

        layers = OverlaySnapshotter(self._paths.snapshots, self._store).all()
        return tuple(status.container(self._paths, record, layers) for record in records)

    def events(self, *, since: datetime) -> AsyncIterator[Event]:
        """Yield the journal's events since then, and end."""
        return reader.follow(self._paths.journal, since=since, forever=False)
