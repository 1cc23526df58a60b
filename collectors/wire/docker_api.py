"""What Docker's API says of containers; Podman's service says the same, and more."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from collectors.decoding import instant, moment
from collectors.engine import EngineContainer, EngineShim, Status
from collectors.wire.docker_images import Image
from collectors.wire.failures import Refused

if TYPE_CHECKING:
    from collectors.wire.http import Http

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
"""What an engine calls a container: anything else would be another request than is meant."""
_ASKED_AT_ONCE = 250
"""Details asked for in one reading: half a second, where a reading has two."""

STATUS: Mapping[str, Status] = {
    "created": "created",
    "configured": "created",
    "initialized": "created",
    "running": "running",
    "stopping": "running",
    "paused": "paused",
    "restarting": "stopped",
    "exited": "stopped",
    "stopped": "stopped",
    "removing": "stopped",
    "dead": "stopped",
}
"""Docker's and Podman's words in ours; one that waits to be restarted has no process."""


class Listed(Struct, rename="pascal"):
    """One entry of `/containers/json`."""

    id: str
    names: list[str] | None = None
    image: str | None = None
    image_id: str | None = msgspec.field(name="ImageID", default=None)
    created: int | str | None = None
    """Docker: seconds since the epoch; Podman: RFC 3339."""
    labels: dict[str, str] | None = None
    state: str = ""
    pod: str | None = None
    """Podman: the pod's id, or empty."""
    pid: int = 0
    """Podman."""
    pod_name: str | None = None
    """Podman."""
    is_infra: bool = False
    """Podman: it holds a pod's namespaces."""


class InspectedState(Struct, rename="pascal"):
    """`State` of an inspected container."""

    status: str = ""
    pid: int = 0
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    conmon_pid: int | None = None
    """Podman: the process that owns the container."""
    cgroup_path: str | None = None
    """Podman."""


class GraphDriver(Struct, rename="pascal"):
    """`GraphDriver`: the directories of an overlay."""

    name: str = ""
    data: dict[str, str] | None = None


class HostConfig(Struct, rename="pascal"):
    """`HostConfig`, as far as it is used."""

    cgroup_parent: str | None = None
    runtime: str | None = None


class Inspected(Struct, rename="pascal"):
    """The answer to `/containers/ID/json`."""

    id: str
    state: InspectedState
    created: str | None = None
    path: str | None = None
    args: list[str] | None = None
    host_config: HostConfig | None = None
    graph_driver: GraphDriver | None = None
    oci_runtime: str | None = msgspec.field(name="OCIRuntime", default=None)
    """Podman."""
    image_digest: str | None = None
    """Podman."""


class Component(Struct, rename="pascal"):
    """One of a server's parts."""

    name: str = ""


class Version(Struct, rename="pascal"):
    """The answer to `/version`."""

    version: str
    components: list[Component] | None = None

    @property
    def engine(self) -> str:
        """Who answers: Podman's service speaks Docker's API too, and is asked by it as DOCKER_HOST."""
        names = {component.name for component in self.components or ()}
        return "podman" if "Podman Engine" in names else "docker"


class Info(Struct, rename="pascal"):
    """The answer to `/info`, as far as it is used."""

    cgroup_driver: str | None = None


class Details(Struct):
    """Remembers inspected containers, so that only those that changed are asked for again.

    One changed when an event spoke of it, or when what the list says of its state is another.
    """

    target: str
    """What to GET, with `{id}` in it."""
    _known: dict[str, tuple[str, Inspected]] = {}

    def forget(self, changed: Iterable[str]) -> None:
        """Forget those that an event spoke of."""
        for container in changed:
            self._known.pop(container, None)

    async def of(self, http: "Http", wanted: Mapping[str, str]) -> Mapping[str, Inspected]:
        """Return details by id; `wanted` has a text for each that differs when its state does.

        Without an entry: one that went away since it was listed, and of very many new ones those
        whose turn comes at the next reading, for each is a request.
        """
        self._known = {key: value for key, value in self._known.items() if key in wanted}
        missing = [
            key
            for key, state in wanted.items()
            if key not in self._known or self._known[key][0] != state
        ]
        for key in missing:
            self._known.pop(key, None)
        for key in missing[:_ASKED_AT_ONCE]:
            inspected = await self._ask(http, key)
            if inspected is not None:
                self._known[key] = (wanted[key], inspected)
        return {key: inspected for key, (_, inspected) in self._known.items()}

    async def _ask(self, http: "Http", container: str) -> Inspected | None:
        if not _ID.fullmatch(container):
            return None
        try:
            return await http.get(self.target.format(id=container), Inspected)
        except Refused as error:
            if error.status in {404, 409}:
                return None
            raise


def container(
    engine: str, listed: Listed, inspected: Inspected | None, image: Image | None = None
) -> EngineContainer:
    """Return one container in our words: the list's entry, and the details where they were had."""
    state = inspected.state if inspected is not None else InspectedState()
    status = STATUS.get(listed.state)
    stopped = status == "stopped"
    layers = _layers(inspected)
    lower = layers.get("LowerDir")
    return EngineContainer(
        id=listed.id,
        engine=engine,
        name=next((name.removeprefix("/") for name in listed.names or ()), None),
        image=listed.image,
        image_digest=(image.digest(listed.image) if image else None) or _digest(listed, inspected),
        labels=listed.labels or {},
        command=_command(inspected),
        status=status,
        pod=listed.pod_name or listed.pod or None,
        pid=state.pid or None,
        created_at=_created(listed, inspected),
        started_at=moment(state.started_at),
        finished_at=moment(state.finished_at) if stopped else None,
        exit_code=state.exit_code if stopped else None,
        runtime=_runtime(inspected),
        shim=EngineShim(state.conmon_pid) if state.conmon_pid else None,
        cgroup=state.cgroup_path or None,
        lowerdirs=tuple(lower.split(":")) if lower else (),
        upperdir=layers.get("UpperDir") or None,
        layer_digests=image.layers() if image is not None else (),
        image_history=image.steps if image is not None else (),
        sandbox=listed.is_infra,
        error=state.error or None,
    )


def _layers(inspected: Inspected | None) -> Mapping[str, str]:
    driver = inspected.graph_driver if inspected is not None else None
    return (driver.data or {}) if driver is not None else {}


def _command(inspected: Inspected | None) -> tuple[str, ...] | None:
    if inspected is None or not inspected.path:
        return None
    return (inspected.path, *(inspected.args or ()))


def _created(listed: Listed, inspected: Inspected | None) -> datetime | None:
    exact = moment(inspected.created) if inspected is not None else None
    if exact is not None or listed.created is None:
        return exact
    if isinstance(listed.created, str):
        return moment(listed.created)
    return instant(listed.created)


def _digest(listed: Listed, inspected: Inspected | None) -> str | None:
    if inspected is not None and inspected.image_digest:
        return inspected.image_digest
    return listed.image_id


def _runtime(inspected: Inspected | None) -> str | None:
    if inspected is None:
        return None
    host = inspected.host_config
    return inspected.oci_runtime or (host.runtime if host is not None else None) or None
