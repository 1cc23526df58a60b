"""Calls containerd's services, one call a method."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from google.protobuf.message import Message

from collectors.wire import grpc
from collectors.wire.containerd.messages import (
    Container,
    Image,
    Mount,
    Named,
    SnapshotInfo,
    Task,
    message,
)

_BLOB_MAX = 8 << 20
_SERVICES = "cinspect.containerd"
"""The package of our own definitions: only field numbers go over the wire."""


class Client:
    """One connection to containerd; every method raises `Unavailable`, or `Refused` with a status."""

    def __init__(self, connection: grpc.Connection) -> None:
        """Take an open connection."""
        self._connection = connection
        self.peer_uid = connection.peer_uid

    async def version(self) -> str:
        """Return the daemon's version."""
        answer = await self._call(
            "/containerd.services.version.v1.Version/Version", "Empty", "VersionResponse"
        )
        return str(getattr(answer, "version"))  # noqa: B009 - the class is made at run time

    async def namespaces(self) -> Sequence[str]:
        """Return the names of the namespaces."""
        answer = await self._call(
            "/containerd.services.namespaces.v1.Namespaces/List", "Empty", "ListNamespacesResponse"
        )
        return [one.name for one in cast("Sequence[Named]", self._listed(answer, "namespaces"))]

    async def containers(self, namespace: str) -> Sequence[Container]:
        """Return a namespace's container records."""
        package = "containerd.services.containers.v1"
        answer = await self._call(
            f"/{package}.Containers/List",
            f"{package}.ListContainersRequest",
            f"{package}.ListContainersResponse",
            namespace=namespace,
        )
        return cast("Sequence[Container]", self._listed(answer, "containers"))

    async def tasks(self, namespace: str) -> Sequence[Task]:
        """Return a namespace's tasks."""
        package = "containerd.services.tasks.v1"
        answer = await self._call(
            f"/{package}.Tasks/List",
            f"{package}.ListTasksRequest",
            f"{package}.ListTasksResponse",
            namespace=namespace,
        )
        return cast("Sequence[Task]", self._listed(answer, "tasks"))

    async def images(self, namespace: str) -> Sequence[Image]:
        """Return a namespace's images."""
        answer = await self._call(
            "/containerd.services.images.v1.Images/List",
            "Empty",
            "ListImagesResponse",
            namespace=namespace,
        )
        return cast("Sequence[Image]", self._listed(answer, "images"))

    async def mounts(self, namespace: str, snapshotter: str, key: str) -> Sequence[Mount]:
        """Return the mounts that make a snapshot visible."""
        answer = await self._call(
            "/containerd.services.snapshots.v1.Snapshots/Mounts",
            "MountsRequest",
            "MountsResponse",
            namespace=namespace,
            fields={"snapshotter": snapshotter, "key": key},
        )
        return cast("Sequence[Mount]", _field(answer, "mounts"))

    async def parent(self, namespace: str, snapshotter: str, key: str) -> str:
        """Return what a snapshot is upon: of an image's layers their chain id; "" for nothing."""
        answer = await self._call(
            "/containerd.services.snapshots.v1.Snapshots/Stat",
            "StatSnapshotRequest",
            "StatSnapshotResponse",
            namespace=namespace,
            fields={"snapshotter": snapshotter, "key": key},
        )
        return cast("SnapshotInfo", _field(answer, "info")).parent

    async def content(self, namespace: str, digest: str) -> bytes:
        """Return a blob of the content store: a manifest, a config; 8 MiB at most."""
        answers = self._connection.stream(
            "/containerd.services.content.v1.Content/Read",
            _class("ReadContentRequest")(digest=digest),
            _class("ReadContentResponse"),
            metadata={"containerd-namespace": namespace},
        )
        chunks: list[bytes] = []
        async for answer in answers:
            chunks.append(cast("bytes", _field(answer, "data")))
            if sum(map(len, chunks)) > _BLOB_MAX:
                self._connection.fail("Content/Read", f"{digest} has more than 8 MiB")
        return b"".join(chunks)

    async def pause(self, namespace: str, container: str) -> None:
        """Freeze a container's processes; `Refused` says why not."""
        await self._act("Pause", namespace, container)

    async def resume(self, namespace: str, container: str) -> None:
        """Let a container's processes go on; `Refused` says why not."""
        await self._act("Resume", namespace, container)

    def _listed(self, answer: Message, name: str) -> Sequence[object]:
        return self._connection.few(f"{name} List", cast("Sequence[object]", _field(answer, name)))

    async def _act(self, method: str, namespace: str, container: str) -> None:
        package = "containerd.services.tasks.v1"
        await self._call(
            f"/{package}.Tasks/{method}",
            f"{package}.TaskRequest",
            "Empty",
            namespace=namespace,
            fields={"container_id": container},
        )

    async def _call(
        self,
        method: str,
        request: str,
        answer: str,
        *,
        namespace: str = "",
        fields: dict[str, str] | None = None,
    ) -> Message:
        metadata = {"containerd-namespace": namespace} if namespace else {}
        return await self._connection.call(
            method, _class(request)(**(fields or {})), _class(answer), metadata=metadata
        )


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator[Client]:
    """Connect to the socket at a path for as long as the block runs.

    Raises `Missing` where there is no socket, `Denied`, and `Unavailable` where nobody listens.
    """
    async with grpc.connect(path) as connection:
        yield Client(connection)


def _class(name: str) -> type[Message]:
    return message(name if "." in name else f"{_SERVICES}.{name}")


def _field(answer: Message, name: str) -> object:
    found: object = getattr(answer, name)
    return found
