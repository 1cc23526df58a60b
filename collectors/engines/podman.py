"""Podman, over the socket of its service, where one runs."""

from typing import TYPE_CHECKING

from collectors.engine import EngineReading, teller
from collectors.errors import CollectError
from collectors.wire import docker_api, peers
from collectors.wire.docker_api import Details, Listed, Version
from collectors.wire.docker_events import Events
from collectors.wire.docker_images import Images
from collectors.wire.http_unix import connect

if TYPE_CHECKING:
    from collectors.wire.http import Http

_DAY = 86400.0


class PodmanEngine:
    """Lists Podman's containers by its own API, which tells pods, monitors and cgroups."""

    def __init__(self, address: str, *, name: str = "podman") -> None:
        """Take the path of the socket."""
        self.name = name
        self.address = address
        self._version: str | None = None
        self._details = Details("")
        self._images = Images("")
        # Podman reads its events from a file or the system's journal, which can be long. It stops
        # at the end by itself; given `until` as well, version 4 leaves most of them out.
        # An answer that is followed would keep a service alive that ends when nobody asks.
        self._events = Events(
            "podman",
            address,
            target="/events?stream=false&since={since}",
            first_seconds=_DAY,
            follow=None,
        )

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` without a socket, `Denied`, `Unavailable` when it does not answer."""
        try:
            async with connect(self.address) as http:
                return await self._collect(http)
        except CollectError:
            # Whatever answers next may be another daemon.
            self._version = None
            raise

    async def _collect(self, http: "Http") -> EngineReading:
        if self._version is None:
            self._version = (await http.get("/version", Version)).version
            self._images.target = f"/v{self._version}/libpod/images/{{id}}/json"
            self._details.target = f"/v{self._version}/libpod/containers/{{id}}/json"
        events = await self._events.read(http)
        self._details.forget(one.container for one in events if one.container is not None)
        target = f"/v{self._version}/libpod/containers/json?all=true"
        listed = await http.get_list(target, Listed)
        details = await self._details.of(http, {one.id: f"{one.state} {one.pid}" for one in listed})
        images = await self._images.of(http, (one.image_id for one in listed))
        containers = [
            docker_api.container("podman", one, details.get(one.id), images.get(one.image_id or ""))
            for one in listed
        ]
        self._events.told()
        return EngineReading(
            name=self.name,
            version=self._version,
            address=self.address,
            containers=peers.said_by(http.peer_uid, containers),
            said_by=teller(http.peer_uid),
            events=events,
            problems=(self._events.problem,) if self._events.problem is not None else (),
        )
