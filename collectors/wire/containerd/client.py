"""Calls containerd's services: grpclib for the transport, one call a method."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import h2.exceptions
from google.protobuf.message import Message
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from collectors.errors import Unavailable
from collectors.wire.containerd.messages import Container, Image, Mount, Named, Task, message
from collectors.wire.failures import Refused, connect_error

_SERVICES = "cinspect.containerd"
"""The package of our own definitions: only field numbers go over the wire."""


class Client:
    """One connection to containerd; every method raises `Unavailable`, or `Refused` with a status."""

    def __init__(self, path: str, channel: Channel) -> None:
        """Take an open channel to the socket at a path."""
        self._path = path
        self._channel = channel

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
        return [one.name for one in cast("Sequence[Named]", _field(answer, "namespaces"))]

    async def containers(self, namespace: str) -> Sequence[Container]:
        """Return a namespace's container records."""
        package = "containerd.services.containers.v1"
        answer = await self._call(
            f"/{package}.Containers/List",
            f"{package}.ListContainersRequest",
            f"{package}.ListContainersResponse",
            namespace=namespace,
        )
        return cast("Sequence[Container]", _field(answer, "containers"))

    async def tasks(self, namespace: str) -> Sequence[Task]:
        """Return a namespace's tasks."""
        package = "containerd.services.tasks.v1"
        answer = await self._call(
            f"/{package}.Tasks/List",
            f"{package}.ListTasksRequest",
            f"{package}.ListTasksResponse",
            namespace=namespace,
        )
        return cast("Sequence[Task]", _field(answer, "tasks"))

    async def images(self, namespace: str) -> Sequence[Image]:
        """Return a namespace's images."""
        answer = await self._call(
            "/containerd.services.images.v1.Images/List",
            "Empty",
            "ListImagesResponse",
            namespace=namespace,
        )
        return cast("Sequence[Image]", _field(answer, "images"))

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

    async def pause(self, namespace: str, container: str) -> None:
        """Freeze a container's processes; `Refused` says why not."""
        await self._act("Pause", namespace, container)

    async def resume(self, namespace: str, container: str) -> None:
        """Let a container's processes go on; `Refused` says why not."""
        await self._act("Resume", namespace, container)

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
        call = UnaryUnaryMethod[Message, Message](
            self._channel, method, _class(request), _class(answer)
        )
        metadata = {"containerd-namespace": namespace} if namespace else {}
        try:
            return await call(_class(request)(**(fields or {})), metadata=metadata)
        except GRPCError as error:
            message = f"{error.status.name}: {error.message}"
            raise Refused(self._path, method, message, status=error.status.value) from error
        except (StreamTerminatedError, ProtocolError, h2.exceptions.ProtocolError) as error:
            raise Unavailable(self._path, method, f"broke off: {error}") from error
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Unavailable(self._path, method, reason) from error


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator[Client]:
    """Connect to the socket at a path for as long as the block runs.

    Raises `Missing` where there is no socket, `Denied`, and `Unavailable` where nobody listens.
    """
    channel = Channel(path=path)
    try:
        try:
            await channel.__connect__()
        except OSError as error:
            raise connect_error(path, error) from error
        yield Client(path, channel)
    finally:
        channel.close()


def _class(name: str) -> type[Message]:
    return message(name if "." in name else f"{_SERVICES}.{name}")


def _field(answer: Message, name: str) -> object:
    found: object = getattr(answer, name)
    return found
