"""`update`: change the limits of a container."""

import sys
from typing import Any, Final

from runtime.command import cgroups
from runtime.command.arguments import Request
from runtime.command.store import Container, Store, parse_json, read_json
from runtime.errors import FailedPrecondition, InvalidArgument
from runtime.oci import config

_NUMBERS: Final = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "pids-limit": ("pids", "limit"),
}
_SIZES: Final = {
    "memory": "limit",
    "memory-reservation": "reservation",
    "memory-swap": "swap",
    "kernel-memory-tcp": "kernelTCP",
}
_SCHEMAS: Final = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}
_TEXTS: Final = {"cpuset-cpus": "cpus", "cpuset-mems": "mems"}
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def update(request: Request) -> int:
    """Change them; what is not named stays."""
    resources = _resources(request)
    config.resources(resources)
    schemas = {key: text for flag, key in _SCHEMAS.items() if (text := request.text(flag))}
    with Store(request).locked(request.id) as container:
        if container.status() == "stopped":
            raise FailedPrecondition(
                f"cannot update: container not running: {request.id} has stopped"
            )
        if schemas:
            _change_class(container, schemas)
        container.cgroup.update(resources)
    return 0


def _change_class(container: Container, schemas: dict[str, str]) -> None:
    group = cgroups.service_class(container.record)
    if group is None:
        raise FailedPrecondition("linux.intelRdt: the container is in no class of service")
    group.change(schemas)


def _resources(request: Request) -> dict[str, Any]:
    path = request.text("resources")
    if path == "-":
        return parse_json(sys.stdin.buffer.read(1 << 24), "stdin")
    if path:
        return read_json(path, streams=True)
    return _from_flags(request)


def _from_flags(request: Request) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for flag, (part, key) in _NUMBERS.items():
        value = request.number(flag)
        if value is not None:
            found.setdefault(part, {})[key] = value
    for flag, key in _SIZES.items():
        if text := request.text(flag):
            found.setdefault("memory", {})[key] = size(text, flag)
    for flag, key in _TEXTS.items():
        if text := request.text(flag):
            found.setdefault("cpu", {})[key] = text
    return found


def size(text: str, flag: str) -> int:
    """Return bytes of a number with or without a unit; -1 is no limit."""
    if text == "-1":
        return -1
    lower = text.lower()
    digits = lower.removesuffix("ib").removesuffix("b").rstrip("kmgt")
    unit = lower[len(digits) :].removesuffix("ib").removesuffix("b")
    if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
        raise InvalidArgument(f"--{flag}: {text!r} is not a number of bytes")
    return int(digits) * _UNITS[unit]
