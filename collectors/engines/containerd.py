"""containerd, over its socket, every namespace of it: what nerdctl, ctr, Docker and CRI made."""

import asyncio
import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from collectors.decoding import decode, instant
from collectors.engine import EngineContainer, EngineEvent, EngineReading, Status, teller
from collectors.errors import CollectError, Missing
from collectors.overlay import options
from collectors.wire import peers
from collectors.wire.following import Following

if TYPE_CHECKING:
    from collectors.wire.containerd.client import Client
    from collectors.wire.containerd.layers import Layers
    from collectors.wire.containerd.messages import Container, Task, Timestamp
    from collectors.wire.containerd.subscription import Envelope, Subscription

_EPOCH = datetime.fromtimestamp(0, UTC)
_STATUS: Mapping[int, Status] = {1: "created", 2: "running", 3: "stopped", 4: "paused", 5: "paused"}
_NAMES = ("nerdctl/name", "io.kubernetes.container.name")


class _Process(Struct):
    args: list[str] | None = None


class _Linux(Struct):
    cgroups_path: str | None = msgspec.field(name="cgroupsPath", default=None)


class _Spec(Struct):
    """What is read of an OCI runtime spec."""

    process: _Process | None = None
    linux: _Linux | None = None


class _Details(Struct, frozen=True):
    """What a container's record does not say itself, and does not change while that is the same."""

    command: tuple[str, ...] | None
    cgroup: str | None
    lowerdirs: tuple[str, ...]
    upperdir: str | None
    layers: "Layers"


class _Namespace(Struct):
    """What is remembered of a namespace between two readings."""

    details: dict[str, tuple[tuple[int, int], _Details]] = {}
    digests: Mapping[str, str] = {}
    layers: dict[tuple[str, str], "Layers"] = {}
    """By image and chain id."""


class ContainerdEngine:
    """Lists the containers of every namespace: two calls each, and one for each new container."""

    def __init__(self, address: str, *, name: str = "containerd") -> None:
        """Take the path of the socket."""
        self.name = name
        self.address = address
        self._version: str | None = None
        self._known: dict[str, _Namespace] = {}
        self._loaded = False
        self.listens = False
        """Whether events are told from the first reading on: who reads once has no use for them."""
        self._collected = False
        self._following: Following[Envelope] = Following(name, partial(_subscribe, address))

    def close(self) -> None:
        """End the subscription to events."""
        self._following.close()

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` without a socket, `Denied`, `Unavailable` when it does not answer."""
        if not await asyncio.to_thread(os.path.exists, self.address):
            raise Missing(self.address, "connect", os.strerror(errno.ENOENT))
        # Loaded only here, in a thread: 70 ms and 8 MB, and most hosts have no containerd.
        if not self._loaded:
            await asyncio.to_thread(_load)
            self._loaded = True
        from collectors.wire.containerd.client import connect  # noqa: PLC0415 - only where a socket is

        try:
            async with connect(self.address) as client:
                return await self._collect(client)
        except CollectError:
            # Whatever answers next may be another daemon.
            self._version = None
            self.close()
            raise

    async def _collect(self, client: "Client") -> EngineReading:
        if self._version is None:
            self._version = await client.version()
        follows, self._collected = self.listens or self._collected, True
        if follows:
            self._following.open()  # before what is there is asked for: nothing is between the two
        names = await client.namespaces()
        self._known = {name: self._known.get(name) or _Namespace() for name in names}
        containers: list[EngineContainer] = []
        for name in names:
            containers += await self._namespace(client, name)
        events = self._events() if follows else ()
        problem = self._following.problem
        return EngineReading(
            name=self.name,
            version=self._version,
            address=self.address,
            containers=peers.said_by(client.peer_uid, containers),
            said_by=teller(client.peer_uid),
            events=events,
            problems=(problem,) if problem is not None else (),
        )

    def _events(self) -> tuple[EngineEvent, ...]:
        """Return what came since the reading before; the daemon keeps none for who was not there."""
        told, missed = self._following.take()
        return (*missed, *map(_event, told))

    async def _namespace(self, client: "Client", namespace: str) -> list[EngineContainer]:
        records = await client.containers(namespace)
        tasks = {task.id: task for task in await client.tasks(namespace)}
        known = self._known[namespace]
        await _learn_digests(client, namespace, known, {one.image for one in records})
        ids = {one.id for one in records}
        known.details = {key: value for key, value in known.details.items() if key in ids}
        return [
            _container(
                one,
                namespace,
                tasks.get(one.id),
                digest=known.digests.get(one.image),
                details=await _learn(client, namespace, known, one),
            )
            for one in records
        ]


def _subscribe(address: str) -> "Subscription":
    from collectors.wire.containerd.subscription import Subscription  # noqa: PLC0415 - only where a socket is

    return Subscription(address)


def _load() -> None:
    from collectors.wire.containerd import client, messages, subscription  # noqa: PLC0415 - only where a socket is

    del client, subscription
    messages.message("cinspect.containerd.Empty")


async def _learn_digests(
    client: "Client", namespace: str, known: _Namespace, images: set[str]
) -> None:
    if images - known.digests.keys() - {""}:
        listed = {one.name: one.target.digest for one in await client.images(namespace)}
        # An image can be gone that a container was made from: not to be asked for again.
        known.digests = dict.fromkeys(images, "") | listed


async def _learn(
    client: "Client", namespace: str, known: _Namespace, record: "Container"
) -> _Details:
    updated = (record.updated_at.seconds, record.updated_at.nanos)
    remembered = known.details.get(record.id)
    if remembered is not None and remembered[0] == updated:
        return remembered[1]
    spec = _spec(record.spec.value)
    directories = await _directories(client, namespace, record)
    details = _Details(
        command=tuple(spec.process.args or ()) if spec.process is not None else None,
        cgroup=_cgroup(spec.linux.cgroups_path) if spec.linux is not None else None,
        lowerdirs=directories.lowerdirs if directories is not None else (),
        upperdir=directories.upperdir if directories is not None else None,
        layers=await _layers(client, namespace, known, record),
    )
    known.details[record.id] = (updated, details)
    return details


async def _directories(
    client: "Client", namespace: str, record: "Container"
) -> options.Directories | None:
    if not record.snapshot_key:
        return None
    try:
        mounts = await client.mounts(namespace, record.snapshotter, record.snapshot_key)
    except CollectError:
        # The snapshot was removed before its container, or its snapshotter is not loaded.
        return None
    overlays = (mount for mount in mounts if mount.type == "overlay")
    return next((options.directories(mount.options) for mount in overlays), None)


async def _layers(
    client: "Client", namespace: str, known: _Namespace, record: "Container"
) -> "Layers":
    """Return the image's layers below the container's."""
    from collectors.wire.containerd import layers  # noqa: PLC0415 - only where a socket is

    image = known.digests.get(record.image)
    if not image or not record.snapshot_key:
        return layers.Layers()
    try:
        chain = await client.parent(namespace, record.snapshotter, record.snapshot_key)
    except CollectError:
        return layers.Layers()
    if (image, chain) not in known.layers:
        known.layers[image, chain] = await layers.layers(client, namespace, image, chain)
    return known.layers[image, chain]


def _event(envelope: "Envelope") -> EngineEvent:
    from collectors.wire.containerd.messages import unpack  # noqa: PLC0415 - only where a socket is

    event = unpack(envelope.event)
    about_container = envelope.topic.startswith(("/tasks/", "/containers/"))
    named = event.get("container_id") or event.get("id") if about_container else None
    return EngineEvent(
        timestamp=_moment(envelope.timestamp) or _EPOCH,
        source="containerd",
        topic=envelope.topic,
        engine_namespace=envelope.namespace or None,
        container=named if isinstance(named, str) else None,
        event=event,
    )


def _container(
    record: "Container",
    namespace: str,
    task: "Task | None",
    *,
    digest: str | None,
    details: _Details,
) -> EngineContainer:
    # A record without a task is one that was made and not started, or whose task was removed.
    status: Status | None = "created" if task is None else _STATUS.get(task.status)
    stopped = task is not None and status == "stopped"
    return EngineContainer(
        id=record.id,
        engine="containerd",
        name=_first(record.labels, _NAMES),
        engine_namespace=namespace,
        pod=_pod(record.labels),
        image=record.image or None,
        image_digest=digest or None,
        labels=dict(record.labels),
        command=details.command,
        status=status,
        pid=(task.pid or None) if task is not None and not stopped else None,
        created_at=_moment(record.created_at),
        finished_at=_moment(task.exited_at) if task is not None and stopped else None,
        exit_code=task.exit_status if task is not None and stopped else None,
        runtime=record.runtime.name or None,
        cgroup=details.cgroup,
        lowerdirs=details.lowerdirs,
        upperdir=details.upperdir,
        layer_digests=details.layers.diff_ids,
        image_history=details.layers.history,
        sandbox=record.labels.get("io.cri-containerd.kind") == "sandbox",
    )


def _spec(data: bytes) -> _Spec:
    """Return what is read of a spec; nothing of one that is no JSON: the record is still one."""
    try:
        return decode(data, _Spec)
    except msgspec.DecodeError:
        return _Spec()


def _cgroup(path: str | None) -> str | None:
    """Return the path below a hierarchy's root; a systemd one is written `slice:prefix:name`."""
    if not path:
        return None
    parts = path.split(":")
    if len(parts) != 3:
        return path if path.startswith("/") else f"/{path}"
    slice_name, prefix, name = parts
    scope = name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else name
    return "/" + "/".join((*_slices(slice_name or "system.slice"), scope))


def _slices(name: str) -> Sequence[str]:
    """Return a slice and those it is in: `a-b.slice` is in `a.slice` (systemd.slice(5))."""
    words = name.removesuffix(".slice").split("-")
    if words in ([""], ["", ""]):
        return ()
    return tuple(f"{'-'.join(words[: index + 1])}.slice" for index in range(len(words)))


def _pod(labels: Mapping[str, str]) -> str | None:
    pod = labels.get("io.kubernetes.pod.name")
    space = labels.get("io.kubernetes.pod.namespace")
    return f"{space}/{pod}" if pod and space else pod or None


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((labels[key] for key in keys if labels.get(key)), None)


def _moment(timestamp: "Timestamp") -> datetime | None:
    if not timestamp.seconds:
        return None
    return instant(timestamp.seconds + timestamp.nanos / 1e9)
