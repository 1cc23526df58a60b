"""What an engine adapter is: it gives names to what the kernel shows, and lists what is stopped."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from collectors.errors import Problem

Status = Literal["created", "running", "paused", "stopped"]
LOST = "events-lost"
"""The topic of an event that says that some were not told."""


class EngineShim(Struct, frozen=True):
    """The shim that an engine says owns a container."""

    pid: int
    address: str | None = None
    version: str | None = None


class ImageStep(Struct, frozen=True):
    """One step of an image's making, as its builder wrote it down (OCI image-spec, config.md)."""

    created_at: datetime | None
    created_by: str
    """The command; empty where the builder did not say."""
    comment: str
    empty_layer: bool | None
    """Whether it made no layer; null where the engine does not tell."""


class EngineContainer(Struct, frozen=True, kw_only=True):
    """A container as its engine names it; `None` is "the engine did not say"."""

    id: str
    engine: str
    name: str | None = None
    engine_namespace: str | None = None
    pod: str | None = None
    image: str | None = None
    image_digest: str | None = None
    labels: Mapping[str, str] = {}
    command: tuple[str, ...] | None = None
    status: Status | None = None
    pid: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    runtime: str | None = None
    shim: EngineShim | None = None
    cgroup: str | None = None
    """Its path below each hierarchy's root, where the engine tells it."""
    cgroup_manager: str | None = None
    """Who makes its cgroups: `systemd`, or `cgroupfs` for the engine itself."""
    lowerdirs: tuple[str, ...] = ()
    """Uppermost first, as overlay's own option has them."""
    upperdir: str | None = None
    layer_digests: tuple[str, ...] = ()
    """Of the image's layers, lowest first: each layer's diff id, the digest of its plain tar."""
    image_history: tuple[ImageStep, ...] = ()
    """How its image was made, the first step first."""
    sandbox: bool = False
    """It runs nothing of a person's: it holds the namespaces that a pod's containers share."""
    error: str | None = None
    said_by: int | None = None
    """Uid of the user whose engine says so, where that is neither root nor who asks."""


class EngineEvent(Struct, frozen=True):
    """One event of an engine or a shim."""

    timestamp: datetime
    source: str
    topic: str
    engine_namespace: str | None
    container: str | None
    event: Mapping[str, object]


class EngineReading(Struct, frozen=True):
    """What one engine said."""

    name: str
    version: str | None
    address: str | None
    containers: tuple[EngineContainer, ...] = ()
    events: tuple[EngineEvent, ...] = ()
    """New since the reading before; on the first one, those that the engine keeps."""
    problems: tuple[Problem, ...] = ()
    """What of it could not be read, where the rest could."""
    said_by: int | None = None
    """Uid of the user whose engine this is, where that is neither root nor who asks."""


def teller(uid: int) -> int | None:
    """Return whose word it is for `said_by`: None for root's, and for that of whoever asks."""
    return uid if uid not in {0, os.getuid()} else None


class Engine(Protocol):
    """Something that manages containers."""

    @property
    def name(self) -> str:
        """The engine's short name, unique among adapters, as `docker`."""
        ...

    @property
    def address(self) -> str | None:
        """Where it is asked: a socket's path, a state directory."""
        ...

    async def collect(self) -> EngineReading:
        """Ask; raise `Missing` when the engine is not there, `Unavailable` when it does not answer."""
        ...
