"""The Container Runtime Interface, as kubelet speaks it: containerd's, CRI-O's, whoever serves it."""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from collectors.decoding import decode, instant
from collectors.engine import EngineContainer, EngineEvent, EngineReading, Status, teller
from collectors.errors import CollectError, Missing
from collectors.wire import peers
from collectors.wire.failures import Refused
from collectors.wire.following import Following

if TYPE_CHECKING:
    from collectors.wire.cri.client import Client
    from collectors.wire.cri.messages import Container, Sandbox, SandboxMetadata, StatusResponse
    from collectors.wire.cri.subscription import ContainerEvent, Subscription

_STATUS: Mapping[int, Status] = {0: "created", 1: "running", 2: "stopped"}
_NAMESPACES: Mapping[str, str] = {"containerd": "k8s.io"}
"""Where an engine keeps what it makes for kubelet, so that its own records are the same ones."""
_EVENTS = ("created", "started", "stopped", "deleted")
"""By `container_event_type`."""
_UNIMPLEMENTED = 12
_NOT_FOUND = 5
_AGAIN_SECONDS = 60.0
_ASKED_AT_ONCE = 250
"""Statuses asked for in one reading; the others' turn comes at the next."""


class _Process(Struct):
    args: list[str] | None = None


class _Spec(Struct):
    process: _Process | None = None


class _Info(Struct, rename="camel"):
    """What both servers add to a status under `info`; neither is obliged to."""

    pid: int = 0
    runtime_spec: _Spec | None = None


class _Details(Struct, frozen=True):
    """What the list does not say, and does not change while the container's state is the same."""

    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    pid: int | None = None
    command: tuple[str, ...] | None = None
    error: str | None = None


class CriEngine:
    """Lists pods and their containers: two calls a reading, and one for each that changed state."""

    def __init__(self, address: str, *, name: str = "cri") -> None:
        """Take the path of the socket."""
        self.name = name
        self.address = address
        self._runtime: str | None = None
        self._version: str | None = None
        self._details: dict[str, tuple[int, _Details]] = {}
        self._loaded = False
        self._unserved_until = 0.0
        self.listens = False
        """Whether events are told from the first reading on: who reads once has no use for them."""
        self._collected = False
        self._following: Following[ContainerEvent] = Following(name, partial(_subscribe, address))

    def close(self) -> None:
        """End the subscription to events."""
        self._following.close()

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` where nobody serves it, `Denied`, `Unavailable` without an answer."""
        if not await asyncio.to_thread(os.path.exists, self.address):
            raise Missing(self.address, "connect", os.strerror(errno.ENOENT))
        if time.monotonic() < self._unserved_until:
            raise Missing(self.address, "runtime.v1", "not served on this socket")
        # Loaded only here, in a thread, as of containerd: most hosts have none.
        if not self._loaded:
            await asyncio.to_thread(_load)
            self._loaded = True
        from collectors.wire.cri.client import connect  # noqa: PLC0415 - only where a socket is

        try:
            async with connect(self.address) as client:
                return await self._collect(client)
        except Refused as error:
            self._runtime = None
            self.close()
            if error.status != _UNIMPLEMENTED:
                raise
            # A containerd without its CRI plugin, as Docker starts one, is complete as it is.
            self._unserved_until = time.monotonic() + _AGAIN_SECONDS
            raise Missing(self.address, "runtime.v1", "not served on this socket") from error
        except CollectError:
            # Whatever answers next may be another server.
            self._runtime = None
            self.close()
            raise

    async def _collect(self, client: "Client") -> EngineReading:
        if self._runtime is None:
            said = await client.version()
            self._version = said.runtime_version or None
            self._runtime = said.runtime_name.lower() or "cri"
        follows, self._collected = self.listens or self._collected, True
        if follows:
            self._following.open()  # before what is there is asked for: nothing is between the two
        pods = {one.id: one for one in await client.sandboxes()}
        listed = await client.containers()
        await self._learn(client, listed)
        containers = [self._sandbox(self._runtime, pod) for pod in pods.values()]
        containers += [
            self._container(self._runtime, one, pods.get(one.pod_sandbox_id)) for one in listed
        ]
        return EngineReading(
            name=self.name,
            version=self._version,
            address=self.address,
            containers=peers.said_by(client.peer_uid, containers),
            said_by=teller(client.peer_uid),
            events=self._events(self._runtime) if follows else (),
            problems=(self._following.problem,) if self._following.problem is not None else (),
        )

    def _events(self, engine: str) -> tuple[EngineEvent, ...]:
        """Return what came since the reading before; servers before 2023 have no events."""
        told, missed = self._following.take()
        return (*missed, *(one for said in told if (one := _event(engine, said)) is not None))

    async def _learn(self, client: "Client", listed: Sequence["Container"]) -> None:
        states = {one.id: one.state for one in listed}
        self._details = {
            key: known for key, known in self._details.items() if states.get(key) == known[0]
        }
        missing = [key for key in states if key not in self._details]
        for key in missing[:_ASKED_AT_ONCE]:
            try:
                self._details[key] = states[key], _details(await client.status(key))
            except Refused as error:
                if error.status != _NOT_FOUND:  # it went away since it was listed
                    raise

    def _sandbox(self, engine: str, pod: "Sandbox") -> EngineContainer:
        return EngineContainer(
            id=pod.id,
            engine=engine,
            name=pod.metadata.name or None,
            engine_namespace=_NAMESPACES.get(engine),
            pod=pod_name(pod.metadata),
            labels=dict(pod.labels),
            status="running" if pod.state == 0 else "stopped",
            created_at=_moment(pod.created_at),
            sandbox=True,
        )

    def _container(self, engine: str, one: "Container", pod: "Sandbox | None") -> EngineContainer:
        details = self._details.get(one.id, (0, _Details()))[1]
        status = _STATUS.get(one.state)
        stopped = status == "stopped"
        image = one.image.user_specified_image or one.image.image
        return EngineContainer(
            id=one.id,
            engine=engine,
            name=one.metadata.name or None,
            engine_namespace=_NAMESPACES.get(engine),
            pod=pod_name(pod.metadata) if pod is not None else None,
            # kubelet asks for an image by its id once it has pulled it: that is no name.
            image=image if image and not image.startswith("sha256:") else None,
            image_digest=_digest(one.image_ref),
            labels=dict(one.labels),
            command=details.command,
            status=status,
            pid=details.pid if not stopped else None,
            created_at=_moment(one.created_at),
            started_at=details.started_at,
            finished_at=details.finished_at if stopped else None,
            exit_code=details.exit_code if stopped else None,
            error=details.error,
        )


def pod_name(metadata: "SandboxMetadata") -> str | None:
    """Return a pod's name with its namespace before it, as `kubectl` takes both."""
    if not metadata.name:
        return None
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


def _subscribe(address: str) -> "Subscription":
    from collectors.wire.cri.subscription import Subscription  # noqa: PLC0415 - only where a socket is

    return Subscription(address)


def _load() -> None:
    from collectors.wire.cri import client, messages, subscription  # noqa: PLC0415 - only where a socket is

    del client, subscription
    messages.message("VersionRequest")


def _event(engine: str, said: "ContainerEvent") -> EngineEvent | None:
    """Return an event; None for one without a time that can be, or of a kind that is not known."""
    at = _moment(said.created_at)
    kind = said.container_event_type
    if at is None or not 0 <= kind < len(_EVENTS):
        return None
    pod = said.pod_sandbox_status
    body: dict[str, object] = {"container_id": said.container_id, "sandbox_id": pod.id or None}
    if pod.metadata.name:
        body["pod"] = pod_name(pod.metadata)
    return EngineEvent(
        timestamp=at,
        source="cri",
        topic=f"/cri/{_EVENTS[kind]}",
        engine_namespace=_NAMESPACES.get(engine),
        container=said.container_id or None,
        event=body,
    )


def _details(said: "StatusResponse") -> _Details:
    info = _Info()
    # What a server adds for people has no form that it must have.
    with contextlib.suppress(msgspec.DecodeError):
        info = decode(said.info["info"].encode(), _Info) if "info" in said.info else info
    process = info.runtime_spec.process if info.runtime_spec is not None else None
    status = said.status
    reason = ": ".join(word for word in (status.reason, status.message) if word)
    return _Details(
        started_at=_moment(status.started_at),
        finished_at=_moment(status.finished_at),
        exit_code=status.exit_code,
        pid=info.pid or None,
        command=tuple(process.args or ()) if process is not None else None,
        error=reason if reason not in {"", "Completed"} else None,
    )


def _digest(reference: str) -> str | None:
    """Return the digest of `NAME@sha256:…` or `sha256:…`."""
    digest = reference.rpartition("@")[2]
    return digest if digest.startswith("sha256:") else None


def _moment(nanoseconds: int) -> datetime | None:
    return instant(nanoseconds / 1e9) if nanoseconds > 0 else None
