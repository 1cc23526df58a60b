"""A frame: what the screens show and the JSON says, the whole host at one moment. Immutable."""

from datetime import datetime
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from collectors.errors import Problem
from inspector.domains.cgroups.model import Cgroup
from inspector.domains.containers.model import Container
from inspector.domains.engines.model import Engine
from inspector.domains.events.model import Event
from inspector.domains.host.model import Host
from inspector.domains.mounts.model import Mount, MountedFilesystem
from inspector.domains.namespaces.model import Namespace
from inspector.domains.network.model import Interface, NetworkNamespace
from inspector.domains.processes.model import Process
from inspector.domains.tasks.model import Tasks

SCHEMA_VERSION: Final = "1"

Section = Literal[
    "containers",
    "namespaces",
    "cgroups",
    "mounts",
    "processes",
    "network",
    "images",
    "events",
    "tasks",
]
SECTIONS: Final[tuple[Section, ...]] = (
    "containers",
    "namespaces",
    "cgroups",
    "mounts",
    "processes",
    "network",
    "images",
    "events",
)


ON_REQUEST: Final[tuple[Section, ...]] = ("tasks",)
"""Sections that are only there where they were named: they cost more than they mostly tell."""


class Cost(Struct, frozen=True):
    """What taking this frame cost cinspect itself."""

    wall_seconds: float
    cpu_seconds: float
    files_read: int


class Image(Struct, frozen=True, kw_only=True):
    """One image of the embedded engine."""

    name: str
    digest: str | None
    size_bytes: int | None
    created_at: datetime | None


class Frame(Struct, frozen=True, kw_only=True):
    """The whole host at one moment; a section that was not asked for is absent."""

    schema_version: Literal["1"] = "1"
    taken_at: datetime
    cost: Cost
    host: Host
    engines: tuple[Engine, ...]
    containers: tuple[Container, ...] | UnsetType = UNSET
    namespaces: tuple[Namespace, ...] | UnsetType = UNSET
    cgroups: tuple[Cgroup, ...] | UnsetType = UNSET
    mounts: tuple[Mount, ...] | UnsetType = UNSET
    filesystems: tuple[MountedFilesystem, ...] | UnsetType = UNSET
    """With the section `mounts`: how full is what they mount."""
    processes: tuple[Process, ...] | UnsetType = UNSET
    network: tuple[Interface, ...] | UnsetType = UNSET
    network_namespaces: tuple[NetworkNamespace, ...] | UnsetType = UNSET
    """With the section `network`: what listens in each, its connections and routes."""
    images: tuple[Image, ...] | UnsetType = UNSET
    events: tuple[Event, ...] | UnsetType = UNSET
    tasks: tuple[Tasks, ...] | UnsetType = UNSET
    errors: tuple[Problem, ...] = ()
