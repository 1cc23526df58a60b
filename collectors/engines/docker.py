"""Docker, over its socket."""

from typing import TYPE_CHECKING

from msgspec import structs

from collectors.engine import EngineContainer, EngineReading, teller
from collectors.errors import CollectError
from collectors.wire import docker_api, peers
from collectors.wire.docker_api import Details, Info, Inspected, Listed, Version
from collectors.wire.docker_events import Events
from collectors.wire.docker_images import Image, Images
from collectors.wire.http_unix import connect

if TYPE_CHECKING:
    from collectors.wire.http import Http

_ALL = float("inf")


class DockerEngine:
    """Lists Docker's containers: one request a reading, and one for each that changed."""

    def __init__(self, address: str, *, name: str = "docker") -> None:
        """Take the path of the socket."""
        self.name = name
        self.address = address
        self._version: str | None = None
        self._engine = "docker"
        self._cgroup_driver: str | None = None
        self._details = Details("/containers/{id}/json")
        self._images = Images("/images/{id}/json", "/images/{id}/history")
        # The daemon keeps its last 256 events in memory, whatever their age.
        self._events = Events(
            "docker",
            address,
            target="/events?since={since}&until={until}",
            first_seconds=_ALL,
            follow="/events?since={since}",
        )

    def close(self) -> None:
        """End the stream of events."""
        self._events.close()

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
            said = await http.get("/version", Version)
            self._version, self._engine = said.version, said.engine
            self._cgroup_driver = (await http.get("/info", Info)).cgroup_driver
        events = await self._events.read(http)
        self._details.forget(one.container for one in events if one.container is not None)
        listed = await http.get_list("/containers/json?all=1", Listed)
        details = await self._details.of(http, {one.id: one.state for one in listed})
        images = await self._images.of(http, (one.image_id for one in listed))
        containers = [
            self._container(one, details.get(one.id), images.get(one.image_id or ""))
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

    def _container(
        self, listed: Listed, inspected: Inspected | None, image: Image | None
    ) -> EngineContainer:
        container = docker_api.container(self._engine, listed, inspected, image)
        cgroup = _cgroup(inspected, self._cgroup_driver)
        return structs.replace(container, cgroup=cgroup)


def _cgroup(inspected: Inspected | None, driver: str | None) -> str | None:
    """Return where the daemon puts a container, as its documentation of `--cgroup-parent` says."""
    if inspected is None or inspected.host_config is None:
        return None
    parent = inspected.host_config.cgroup_parent or ""
    if driver == "cgroupfs":
        return f"/{parent.strip('/') or 'docker'}/{inspected.id}"
    if driver == "systemd" and parent in {"", "system.slice"}:
        return f"/system.slice/docker-{inspected.id}.scope"
    return None
