"""Containers, as the dump shows them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from collectors.engine import ImageStep
from inspector.domains.cgroups.model import Cpu, Finding, Io, Memory, Pids, Pressure
from inspector.domains.layers.model import Rootfs
from inspector.domains.network.model import NetworkUsage

Status = Literal["created", "running", "paused", "stopped"]
Measure = Literal["cgroup", "processes"]


class Shim(Struct, frozen=True, kw_only=True):
    """The process that owns a container."""

    pid: int
    address: str | None
    version: str | None


class IdMapping(Struct, frozen=True):
    """One line of a uid or gid map (user_namespaces(7))."""

    inside: int
    outside: int
    count: int


class Security(Struct, frozen=True, kw_only=True):
    """What the kernel holds the container's first process to."""

    capabilities: Mapping[str, tuple[str, ...]]
    """By set: `effective`, `permitted`, `inheritable`, `bounding`, `ambient`."""
    seccomp: Literal["disabled", "strict", "filter"] | None
    no_new_privs: bool | None
    lsm: str | None
    privileged: bool
    """All capabilities of the host's, the host's user namespace, no seccomp filter."""
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    uid_map: tuple[IdMapping, ...]
    gid_map: tuple[IdMapping, ...]


class Resources(Struct, frozen=True, kw_only=True):
    """What it uses and may use; a part that cannot be told is null."""

    cpu: Cpu | None
    memory: Memory | None
    io: Io | None
    pids: Pids | None
    pressure: Mapping[str, Pressure] | None
    network: NetworkUsage | None
    """Null where the host's network namespace is shared."""
    measured_by: Mapping[str, Measure] = {}
    """By `cpu`, `memory`, `pids`: whether its own cgroup counted, or its processes were summed."""


class Container(Struct, frozen=True, kw_only=True):
    """One container, whichever engine runs it, or none."""

    id: str
    """The engine's id; `unshare-PID` style where there is none."""
    name: str
    engine: str | None
    engine_namespace: str | None
    pod: str | None
    image: str | None
    image_digest: str | None
    labels: Mapping[str, str]
    command: tuple[str, ...]
    status: Status
    pid: int | None
    """The host's pid of its first process."""
    pids: tuple[int, ...]
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    runtime: str | None
    shim: Shim | None
    namespaces: Mapping[str, int | None]
    shared_with_host: tuple[str, ...]
    shared_with: Mapping[str, tuple[str, ...]]
    cgroups: Mapping[str, str]
    rootfs: Rootfs | None
    resources: Resources | None
    """Null for a stopped one."""
    security: Security | None
    evidence: tuple[str, ...]
    parent: str | None = None
    """Id of the container that it runs in."""
    verdicts: tuple[str, ...] = ()
    """What is wrong with it, in plain sentences: throttled, short of memory, stalled, refused."""
    findings: tuple[Finding, ...] = ()
    """The same with their numbers, for programs."""
    image_history: tuple[ImageStep, ...] = ()
    """How its image was made, the first step first, where the engine tells it."""
    role: Literal["container", "pod_sandbox", "sandbox"] = "container"
    """`pod_sandbox` holds the namespaces of a pod; `sandbox`: a program shut a part of itself in."""
    said_by: int | None = None
    """Uid of the user whose own engine names it; null where root's does, or that of who asks, or none."""
    cgroup_manager: str | None = None
    """Who makes its cgroups, where its engine says so: `systemd`, or `cgroupfs` for the engine itself."""
