"""From the options of `run` and `create` to an OCI runtime spec, as Docker would have it."""

import os
from collections.abc import Iterable
from typing import Any, Final

from runtime.errors import ResourceExhausted
from runtime.formats import cgroups_path
from runtime.linux import caps
from runtime.oci import seccomp_default, validate
from runtime.oci.host import HostFacts, id_map
from runtime.types import ContainerOptions, Resources

VERSION: Final = "1.2.0"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CPU_PERIOD_USEC: Final = 100_000
MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY: Final = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
_DEVICES: Final = (
    ("c", 1, 3),  # null
    ("c", 1, 5),  # zero
    ("c", 1, 7),  # full
    ("c", 1, 8),  # random
    ("c", 1, 9),  # urandom
    ("c", 5, 0),  # tty
    ("c", 5, 1),  # console
    ("c", 5, 2),  # ptmx
    ("c", 136, None),  # pts/*
)


def build(
    options: ContainerOptions,
    *,
    container_id: str,
    host: HostFacts,
    taken_ids: Iterable[int] = (),
) -> dict[str, Any]:
    """Return the spec; its root is `rootfs` beside it, its cgroups `/cinspect/ID` or a scope.

    Raises `InvalidArgument` or `PermissionDenied` for options that cannot be, naming the option.
    `taken_ids` are the first ids of the user namespaces that other containers have.
    """
    validate.options(options, host=host)
    capabilities = caps.choose(options.cap_add, options.cap_drop, available=host.capabilities)
    linux: dict[str, Any] = {
        "cgroupsPath": _cgroups_path(options, container_id, host=host),
        "namespaces": [{"type": kind} for kind in _namespaces(options)],
        "resources": resources(options.resources, host=host) | {"devices": _device_rules()},
        "seccomp": seccomp_default.profile(capabilities, machine=host.machine),
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READ_ONLY),
    }
    if options.userns == "auto":
        try:
            extent = id_map(host, container_id, taken=taken_ids)
        except LookupError as error:
            raise ResourceExhausted(f"--userns auto: {error}") from error
        mapping = {"containerID": extent.inside, "hostID": extent.outside, "size": extent.size}
        linux |= {"uidMappings": [mapping], "gidMappings": [mapping]}
    hostname = options.hostname or container_id[:12]
    if options.network == "host" and options.hostname is None:
        hostname = os.uname().nodename
    return {
        "ociVersion": VERSION,
        "hostname": hostname,
        "root": {"path": "rootfs", "readonly": options.read_only},
        "process": _process(options, hostname=hostname, capabilities=capabilities),
        "mounts": _mounts(options),
        "linux": linux,
        "annotations": dict(options.labels),
    }


def _cgroups_path(options: ContainerOptions, container_id: str, *, host: HostFacts) -> str:
    """Return where its cgroups will be, in the form that says who makes them."""
    manager = options.cgroup_manager
    if manager is None:
        usable = host.systemd and host.unified and not host.rootless
        manager = "systemd" if usable else "cgroupfs"
    if manager == "systemd":
        return cgroups_path.scope(container_id)
    return cgroups_path.own(container_id)


def _namespaces(options: ContainerOptions) -> list[str]:
    kinds = ["pid", "ipc", "uts", "mount"]
    if options.network == "none":
        kinds.append("network")
    if options.cgroupns == "private":
        kinds.append("cgroup")
    if options.userns == "auto":
        kinds.append("user")
    return kinds


def _process(
    options: ContainerOptions, *, hostname: str, capabilities: tuple[str, ...]
) -> dict[str, Any]:
    environment = {"PATH": PATH, "HOSTNAME": hostname}
    if options.tty:
        environment["TERM"] = "xterm"
    for entry in options.env:
        key, _, value = entry.partition("=")
        environment[key] = value
    # Names are for the container's own passwd to tell, and so are the groups of a bare number.
    user: dict[str, Any] = {"uid": 0, "gid": 0} | (
        {"username": options.user} if options.user else {}
    )
    return {
        "terminal": options.tty,
        "user": user,
        "args": list(options.command),
        "env": [f"{key}={value}" for key, value in environment.items()],
        "cwd": options.workdir,
        "capabilities": {
            kind: list(capabilities) for kind in ("bounding", "effective", "permitted")
        },
        "noNewPrivileges": True,
    }


def _mounts(options: ContainerOptions) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    mounts = [
        _mount("/proc", "proc", "proc", safe),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _sysfs(options),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", *safe]),
        _mount("/dev/mqueue", "mqueue", "mqueue", safe),
        _mount("/dev/shm", "tmpfs", "shm", [*safe, "mode=1777", "size=67108864"]),  # noqa: S108 - POSIX names it
    ]
    for volume in options.volumes:
        access = "rro" if volume.read_only else "rw"
        mounts.append(_mount(volume.target, "bind", volume.source, ["rbind", "rprivate", access]))
    return mounts


def _sysfs(options: ContainerOptions) -> dict[str, Any]:
    """Return the mount of /sys: a new sysfs shows the network namespace of whoever mounts it.

    In a user namespace it may only be mounted for a network namespace of that.
    """
    if options.network == "host" and options.userns == "auto":
        return _mount("/sys", "bind", "/sys", ["rbind", "rro", "rnosuid", "rnoexec", "rnodev"])
    return _mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])


def _mount(destination: str, fstype: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": fstype, "source": source, "options": options}


def _device_rules() -> list[dict[str, Any]]:
    """Return the rules: make any node, use only the harmless ones."""
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules.extend({"allow": True, "type": kind, "access": "m"} for kind in ("c", "b"))
    for kind, major, minor in _DEVICES:
        rule = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        rules.append(rule if minor is None else rule | {"minor": minor})
    return rules


def resources(limits: Resources, *, host: HostFacts) -> dict[str, Any]:
    """Return `linux.resources` for limits; what is None is absent, for `update` to leave alone."""
    validate.limits(limits, host=host)
    result: dict[str, Any] = {}
    if limits.memory_bytes is not None:
        memory = {"limit": limits.memory_bytes}
        if host.swap_accounting:
            memory["swap"] = limits.memory_bytes * 2 if limits.memory_bytes > 0 else -1
        result["memory"] = memory
    cpu: dict[str, Any] = {}
    if limits.cpus is not None:
        # 0 lifts the limit, as in Docker
        quota = round(limits.cpus * CPU_PERIOD_USEC) if limits.cpus else -1
        cpu |= {"period": CPU_PERIOD_USEC, "quota": quota}
    if limits.cpu_shares is not None:
        cpu["shares"] = limits.cpu_shares
    if limits.cpuset_cpus is not None:
        cpu["cpus"] = limits.cpuset_cpus
    if cpu:
        result["cpu"] = cpu
    if limits.pids_limit is not None:
        result["pids"] = {"limit": limits.pids_limit or -1}
    return result
