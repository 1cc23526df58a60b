"""Calls the Container Runtime Interface's RuntimeService, one call a method; it changes nothing."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from google.protobuf.message import Message

from collectors.wire import grpc
from collectors.wire.cri.messages import Container, Sandbox, StatusResponse, Version, message


class Client:
    """One connection; every method raises `Unavailable`, or `Refused` with a status."""

    def __init__(self, connection: grpc.Connection) -> None:
        """Take an open connection."""
        self._connection = connection
        self.peer_uid = connection.peer_uid

    async def version(self) -> Version:
        """Return who answers."""
        return cast("Version", await self._call("Version", message("VersionRequest")()))

    async def sandboxes(self) -> Sequence[Sandbox]:
        """Return every pod's sandbox, those that ended too."""
        return cast("Sequence[Sandbox]", await self._list("ListPodSandbox", "items"))

    async def containers(self) -> Sequence[Container]:
        """Return every container, those that ended too."""
        return cast("Sequence[Container]", await self._list("ListContainers", "containers"))

    async def status(self, container: str) -> StatusResponse:
        """Return one container's status with all that the server adds."""
        request = message("ContainerStatusRequest")(container_id=container, verbose=True)
        return cast("StatusResponse", await self._call("ContainerStatus", request))

    async def _list(self, method: str, field: str) -> Sequence[object]:
        answer = await self._call(method, message(f"{method}Request")())
        listed: Sequence[object] = getattr(answer, field)
        return self._connection.few(method, listed)

    async def _call(self, method: str, request: Message) -> Message:
        return await self._connection.call(
            f"/runtime.v1.RuntimeService/{method}", request, message(f"{method}Response")
        )


@asynccontextmanager
async def connect(path: str) -> AsyncGenerator[Client]:
    """Connect to the socket at a path for as long as the block runs; raise as `grpc.connect` does."""
    async with grpc.connect(path) as connection:
        yield Client(connection)
