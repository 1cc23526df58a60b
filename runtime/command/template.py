"""`spec`: a config.json to begin with."""

import json
import os
from typing import Any, Final

from runtime.command.arguments import Request
from runtime.errors import AlreadyExists

_CAPABILITIES: Final = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_SAFE: Final = ("nosuid", "noexec", "nodev")
_PTS: Final = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - the container's
MASKED: Final = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"),
    *("/proc/interrupts", "/sys/devices/virtual/powercap"),
)
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def spec(request: Request) -> int:
    """Write it; a file that is there stays."""
    path = os.path.join(request.text("bundle") or ".", "config.json")
    value = rootless() if request.on("rootless") else default()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise AlreadyExists(f"{path}: is there already") from None
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent="\t") + "\n")
    return 0


def default() -> dict[str, Any]:
    """Return a shell on a terminal, with three capabilities and a read-only root."""
    kinds = ("bounding", "effective", "permitted")
    return {
        "ociVersion": "1.2.1",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {kind: list(_CAPABILITIES) for kind in kinds},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "cinspect-oci",
        "mounts": [
            _mount("/proc", "proc", "proc"),
            _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _mount("/dev/pts", "devpts", "devpts", *_PTS, "gid=5"),
            _mount(_SHARED_MEMORY, "tmpfs", "shm", *_SAFE, "mode=1777", "size=65536k"),
            _mount("/dev/mqueue", "mqueue", "mqueue", *_SAFE),
            _mount("/sys", "sysfs", "sysfs", *_SAFE, "ro"),
            _mount("/sys/fs/cgroup", "cgroup", "cgroup", *_SAFE, "relatime", "ro"),
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [
                {"type": kind} for kind in ("pid", "network", "ipc", "uts", "cgroup", "mount")
            ],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
        },
    }


def rootless() -> dict[str, Any]:
    """Return the same for a user who is nobody but in a user namespace."""
    value = default()
    linux = value["linux"]
    del linux["resources"]
    linux["namespaces"] = [
        {"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup", "user")
    ]
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    kept = [
        each for each in value["mounts"] if each["destination"] not in {"/sys", "/sys/fs/cgroup"}
    ]
    for each in kept:
        each["options"] = [option for option in each["options"] if option != "gid=5"]
    value["mounts"] = [*kept, _mount("/sys", "none", "/sys", "rbind", *_SAFE, "ro", "rro")]
    return value


def _mount(destination: str, fstype: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": fstype, "source": source, "options": list(options)}
