"""What every operation of one engine shares: its paths, records, layers, events and locks."""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from runtime import identifiers
from runtime.errors import PermissionDenied, RuntimeFailure, Unavailable
from runtime.events import journal, reader
from runtime.metadata.store import ContainerRecord, Store
from runtime.paths import Paths
from runtime.shim import bundle, manager
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.tasks import locks, status
from runtime.tasks.client import TaskClient
from runtime.types import Event


class Engine:
    """The parts that operations are made of."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.store = Store(paths.database, namespace=paths.namespace)
        self.snapshotter = OverlaySnapshotter(paths.snapshots, self.store)
        self._held: dict[str, TaskClient] = {}
        self._zygote: manager.Zygote | None = None

    def resolve(self, reference: str) -> ContainerRecord:
        """Return the record that a reference names, or raise as `identifiers.resolve` does."""
        records = {record.id: record for record in self.store.containers()}
        pairs = [(record.id, record.name) for record in records.values()]
        return records[identifiers.resolve(reference, pairs)]

    def lock(self, container_id: str) -> AbstractAsyncContextManager[int]:
        """Return the lock of a container; entered, it gives the descriptor."""
        return locks.locked(self.paths.container(container_id))

    def publish(self, topic: str, event: Mapping[str, object]) -> None:
        """Add an event of the engine's own to the journal; one that cannot be written is lost."""
        with contextlib.suppress(OSError):
            journal.append(
                self.paths.journal,
                topic,
                event=event,
                namespace=self.paths.namespace,
                source="cinspect",
            )

    def events(self, *, since: datetime | None, follow: bool) -> AsyncIterator[Event]:
        """Yield the journal's events."""
        return reader.follow(self.paths.journal, since=since, forever=follow)

    async def connect(self, container_id: str) -> TaskClient:
        """Connect to a container's shim; raises `Unavailable` if there is none."""
        try:
            shim = bundle.Shim.load(self.paths.bundle(container_id))
        except RuntimeFailure as error:
            raise Unavailable(f"container {container_id[:12]} has no shim") from error
        if not shim.alive():
            raise Unavailable(f"the shim of container {container_id[:12]} is gone")
        return await TaskClient.connect(shim.address, container_id)

    async def warm(self) -> None:
        """Keep a warm process, so that shims start in a few milliseconds."""
        if self._zygote is None:
            self._zygote = await manager.Zygote.open()

    async def start_shim(self, container_id: str, *, lock: int) -> str:
        """Start a container's shim in its bundle and return its address."""
        directory = self.paths.bundle(container_id)
        flags = manager.arguments(
            namespace=self.paths.namespace,
            container_id=container_id,
            address=self.paths.socket(container_id),
        )
        if self._zygote is not None:
            try:
                return await self._zygote.start(directory, flags, lock=lock)
            except Unavailable:  # it was killed: the cold way always works
                zygote, self._zygote = self._zygote, None
                await zygote.close()
        return await manager.start(directory, flags, lock=lock)

    def hold(self, container_id: str, client: TaskClient) -> None:
        """Keep a connection, so that the container's shim stays until its end was asked for."""
        self._held[container_id] = client

    async def release(self, container_id: str) -> None:
        """Let a container's shim go."""
        client = self._held.pop(container_id, None)
        if client is not None:
            await client.close()

    async def close(self) -> None:
        """Let everything go."""
        for container_id in tuple(self._held):
            await self.release(container_id)
        if self._zygote is not None:
            zygote, self._zygote = self._zygote, None
            await zygote.close()
        self.store.close()

    def view(self, record: ContainerRecord) -> status.View:
        """Tell a container's status."""
        return status.view(self.paths, record)


def require_root(what: str) -> None:
    """Raise `PermissionDenied` for a user who may not make containers."""
    if os.geteuid() != 0:
        raise PermissionDenied(f"{what} needs root for now: run it with sudo")
