"""What crosses the runtime's door: containers, options, events. Frozen, without behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

HOST_IMAGE = "@host"
"""The image that is always there: the host's own root as the lower layer."""

Status = Literal["created", "running", "paused", "stopped"]
CgroupManager = Literal["cgroupfs", "systemd"]
"""Who makes a container's cgroups: this program, or systemd."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits; `None` is no limit of the container's own."""

    memory_bytes: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    pids_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A bind mount: `source` on the host seen at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """What `run` and `create` take; named as Docker and Podman name them."""

    image: str | None = None
    """`@host`; None when `rootfs` is given."""
    rootfs: str | None = None
    """A directory that becomes the lower layer instead of an image."""
    command: tuple[str, ...] = ()
    name: str | None = None
    env: tuple[str, ...] = ()
    """`KEY=VALUE` each."""
    workdir: str = "/"
    user: str = ""
    """`uid`, `uid:gid` or names that the container's own /etc/passwd and /etc/group know."""
    hostname: str | None = None
    volumes: tuple[Volume, ...] = ()
    tty: bool = False
    interactive: bool = False
    auto_remove: bool = False
    resources: Resources = field(default_factory=Resources)
    network: Literal["none", "host"] = "none"
    read_only: bool = False
    cgroupns: Literal["private", "host"] = "private"
    cgroup_manager: CgroupManager | None = None
    """None: systemd where it is the host's first process and cgroup v2 is alone, else cgroupfs."""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    userns: Literal["host", "auto"] = "host"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """What `exec` takes."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    workdir: str | None = None
    user: str | None = None
    tty: bool = False
    interactive: bool = False
    console_size: tuple[int, int] | None = None
    """The terminal's columns and lines, from the command's first moment on."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """Where a process's streams go: paths of FIFOs that the client made, or None for /dev/null.

    What a container writes is logged whether or not a client listens.
    """

    stdin: str | None = None
    stdout: str | None = None
    stderr: str | None = None


@dataclass(frozen=True, slots=True)
class ShimInfo:
    """The shim of a container that has one."""

    pid: int
    address: str
    version: str


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: its exit code, or 128 + the signal's number."""

    code: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Container:
    """One container of this engine, running or not."""

    id: str
    """64 hexadecimal digits."""
    name: str
    namespace: str
    image: str | None
    rootfs: str | None
    labels: Mapping[str, str]
    command: tuple[str, ...]
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    pid: int | None
    shim: ShimInfo | None
    bundle: str
    log_path: str
    cgroup: str
    """The path below each hierarchy's root, as `/cinspect/ID`; empty if it has none."""
    cgroup_manager: CgroupManager | None
    lowerdirs: tuple[str, ...]
    upperdir: str | None
    workdir: str | None
    runtime: str
    error: str | None = None
    """Why the state could not be told, or why the last start failed."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `topic` and the keys of `event` are containerd's."""

    timestamp: datetime
    namespace: str
    topic: str
    event: Mapping[str, object]
    source: str = "cinspect"
    """`shim PID`, or `cinspect` for the engine's own."""
    container: str | None = None
    """The id of the container that it is about."""


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between a container and its lower layers, as `docker diff` says it."""

    path: str
    kind: Literal["A", "C", "D"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line (or part of one) that a container wrote."""

    timestamp: datetime
    stream: Literal["stdout", "stderr"]
    data: bytes
    """With its newline, if it had one."""
