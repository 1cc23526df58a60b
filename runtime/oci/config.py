"""The shape of an OCI config.json: which property is what, so that a wrong one is named.

Only what could not be used is refused here; a property that is not in the table is ignored, as the
specification demands (config.md, "Extensibility"). Whether this runtime and this host can do it, is
for who does it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from runtime.errors import InvalidArgument
from runtime.linux import caps, constants


class Number(NamedTuple):
    """An integer from `least` to `most`."""

    least: int
    most: int


class Absolute(NamedTuple):
    """A path that begins with a slash."""


class MapOf(NamedTuple):
    """An object of any keys."""

    value: Any


_U32: Final = Number(0, (1 << 32) - 1)
_I32: Final = Number(-(1 << 31), (1 << 31) - 1)
_U64: Final = Number(0, (1 << 64) - 1)
_I64: Final = Number(-(1 << 63), (1 << 64) - 1)
_ID: Final = Number(0, (1 << 32) - 2)  # the one above means "unchanged" to setuid's family
_ABSOLUTE: Final = Absolute()
_TEXTS: Final = [str]

_HOOK: Final = {"path!": _ABSOLUTE, "args": _TEXTS, "env": _TEXTS, "timeout": Number(1, 1 << 31)}
_MAP: Final = [{"containerID!": _ID, "hostID!": _ID, "size!": Number(1, (1 << 32) - 1)}]
_RATES: Final = [{"major!": _U32, "minor!": _U32, "rate!": _U64}]
_DEVICE_NUMBER: Final = Number(-1, (1 << 32) - 1)

RESOURCES: Final = {
    "devices": [
        {
            "allow!": bool,
            "type": frozenset({"a", "b", "c", ""}),
            "major": _DEVICE_NUMBER,
            "minor": _DEVICE_NUMBER,
            "access": str,
        }
    ],
    "memory": {
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), _I64),
        "swappiness": Number(0, 200),
        "disableOOMKiller": bool,
        "useHierarchy": bool,
        "checkBeforeUpdate": bool,
    },
    "cpu": {
        "shares": _U64,
        "quota": _I64,
        "burst": _U64,
        "period": _U64,
        "realtimeRuntime": _I64,
        "realtimePeriod": _U64,
        "cpus": str,
        "mems": str,
        "idle": _I64,
    },
    "pids": {"limit": _I64},
    "blockIO": {
        "weight": Number(0, 65535),
        "leafWeight": Number(0, 65535),
        "weightDevice": [
            {
                "major!": _U32,
                "minor!": _U32,
                "weight": Number(0, 65535),
                "leafWeight": Number(0, 65535),
            }
        ],
        **dict.fromkeys(
            (
                "throttleReadBpsDevice",
                "throttleWriteBpsDevice",
                "throttleReadIOPSDevice",
                "throttleWriteIOPSDevice",
            ),
            _RATES,
        ),
    },
    "hugepageLimits": [{"pageSize!": str, "limit!": _U64}],
    "network": {"classID": _U32, "priorities": [{"name!": str, "priority!": _U32}]},
    "rdma": MapOf({"hcaHandles": _U32, "hcaObjects": _U32}),
    "unified": MapOf(str),
}
"""linux.resources (config-linux.md, "Control groups")."""

PROCESS: Final = {
    "terminal": bool,
    "consoleSize": {"height!": Number(0, 65535), "width!": Number(0, 65535)},
    "cwd!": _ABSOLUTE,
    "env": _TEXTS,
    "args!": _TEXTS,
    "rlimits": [{"type!": str, "soft!": _U64, "hard!": _U64}],
    "apparmorProfile": str,
    "selinuxLabel": str,
    "capabilities": MapOf(_TEXTS),
    "noNewPrivileges": bool,
    "oomScoreAdj": Number(-1000, 1000),
    "scheduler": {
        "policy!": str,
        "nice": Number(-20, 19),
        "priority": _I32,
        "flags": _TEXTS,
        "runtime": _U64,
        "deadline": _U64,
        "period": _U64,
    },
    "ioPriority": {
        "class!": frozenset({"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}),
        "priority": Number(0, 7),
    },
    "execCPUAffinity": {"initial": str, "final": str},
    "user": {
        "uid": _ID,
        "gid": _ID,
        "umask": Number(0, 0o777),
        "additionalGids": [_ID],
        "username": str,
    },
}
"""process (config.md, "Process")."""

_SECCOMP: Final = {
    "defaultAction!": str,
    "defaultErrnoRet": Number(0, 65535),
    "architectures": _TEXTS,
    "flags": _TEXTS,
    "listenerPath": str,
    "listenerMetadata": str,
    "syscalls": [
        {
            "names!": _TEXTS,
            "action!": str,
            "errnoRet": Number(0, 65535),
            "args": [{"index!": Number(0, 5), "value!": _U64, "valueTwo": _U64, "op!": str}],
        }
    ],
}
_LINUX: Final = {
    "namespaces": [{"type!": frozenset(constants.NAMESPACES), "path": str}],
    "uidMappings": _MAP,
    "gidMappings": _MAP,
    "timeOffsets": MapOf({"secs": _I64, "nanosecs": Number(0, 999_999_999)}),
    "devices": [
        {
            "type!": frozenset({"c", "b", "u", "p"}),
            "path!": _ABSOLUTE,
            "major": _U32,
            "minor": _U32,
            "fileMode": Number(0, 0o7777),
            "uid": _ID,
            "gid": _ID,
        }
    ],
    "netDevices": MapOf({"name": str}),
    "cgroupsPath": str,
    "resources": RESOURCES,
    "rootfsPropagation": str,
    "seccomp": _SECCOMP,
    "sysctl": MapOf(str),
    "maskedPaths": [_ABSOLUTE],
    "readonlyPaths": [_ABSOLUTE],
    "mountLabel": str,
    "personality": {"domain!": str, "flags": _TEXTS},
    "intelRdt": {"closID": str, "l3CacheSchema": str, "memBwSchema": str},
}
_CONFIG: Final = {
    "ociVersion!": str,
    "root!": {"path!": str, "readonly": bool},
    "hostname": str,
    "domainname": str,
    "annotations": MapOf(str),
    "mounts": [
        {
            "destination!": str,
            "type": str,
            "source": str,
            "options": _TEXTS,
            "uidMappings": _MAP,
            "gidMappings": _MAP,
        }
    ],
    "hooks": {
        kind: [_HOOK]
        for kind in (
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        )
    },
    "process": PROCESS,
    "linux": _LINUX,
}
_CAPABILITY_SETS: Final = ("bounding", "effective", "permitted", "inheritable", "ambient")
_NEWEST: Final = (1, 3)


def check(spec: Mapping[str, Any]) -> None:
    """Check a whole config.json; raises `InvalidArgument` naming the property."""
    _check(spec, _CONFIG, "")
    _version(spec["ociVersion"])
    if not spec["root"]["path"]:
        raise InvalidArgument("root.path: is empty")
    if spec.get("process"):
        _process(spec["process"], "process.")
    for index, mount in enumerate(spec.get("mounts") or ()):
        if not mount["destination"]:
            raise InvalidArgument(f"mounts[{index}].destination: is empty")
    _linux(spec.get("linux") or {})


def _linux(linux: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for entry in linux.get("namespaces") or ():
        if entry["type"] in seen:
            raise InvalidArgument(f"linux.namespaces: {entry['type']} is there twice")
        seen.add(entry["type"])
    for index, device in enumerate(linux.get("devices") or ()):
        for key in ("major", "minor"):
            if device["type"] != "p" and device.get(key) is None:
                raise InvalidArgument(f"linux.devices[{index}].{key}: is missing")
    limited: Mapping[str, Any] = linux.get("resources") or {}
    for index, rule in enumerate(limited.get("devices") or ()):
        if set(rule.get("access") or "") - set("rwm"):
            raise InvalidArgument(f"linux.resources.devices[{index}].access: is not of r, w, m")


def process(value: Mapping[str, Any]) -> None:
    """Check an OCI process alone, as exec takes it; raises `InvalidArgument`."""
    _check(value, PROCESS, "")
    _process(value, "")


def resources(value: Mapping[str, Any]) -> None:
    """Check an OCI linux.resources alone, as update takes it; raises `InvalidArgument`."""
    _check(value, RESOURCES, "")


def _version(text: str) -> None:
    numbers = text.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(each.isascii() and each.isdigit() for each in numbers):
        raise InvalidArgument(f"ociVersion: {text!r} is not a version")
    if int(numbers[0]) != 1 or int(numbers[1]) > _NEWEST[1]:
        raise InvalidArgument(f"ociVersion: {text!r} is not supported; 1.0 to 1.{_NEWEST[1]} are")


def _process(value: Mapping[str, Any], prefix: str) -> None:
    if not value["args"] or not value["args"][0]:
        raise InvalidArgument(f"{prefix}args: there is no command")
    for entry in value.get("env") or ():
        if "=" not in entry[1:]:
            raise InvalidArgument(f"{prefix}env: {entry!r} is not KEY=VALUE")
    _capabilities(value.get("capabilities") or {}, prefix)
    seen: set[str] = set()
    for limit in value.get("rlimits") or ():
        if limit["type"] in seen:
            raise InvalidArgument(f"{prefix}rlimits: {limit['type']} is there twice")
        if limit["soft"] > limit["hard"]:
            raise InvalidArgument(f"{prefix}rlimits: {limit['type']}: soft is above hard")
        seen.add(limit["type"])


def _capabilities(value: Mapping[str, Any], prefix: str) -> None:
    for kind in _CAPABILITY_SETS:
        for name in value.get(kind) or ():
            try:
                caps.canonical(name)
            except InvalidArgument as error:
                raise InvalidArgument(f"{prefix}capabilities.{kind}: {error}") from None


def _check(value: object, shape: object, where: str) -> None:
    """Compare a value with a shape; null is as good as absent."""
    if value is None:
        return
    if isinstance(shape, dict):
        properties = cast("dict[str, object]", shape)
        _object(_mapping(value, where or "config.json"), properties, where)
    elif isinstance(shape, list):
        (inner,) = cast("list[object]", shape)
        for index, each in enumerate(_sequence(value, where)):
            _not_null(each, f"{where}[{index}]")
            _check(each, inner, f"{where}[{index}]")
    elif isinstance(shape, MapOf):
        for key, each in _mapping(value, where).items():
            _check(each, shape.value, f"{where}.{_text(key, where)}")
    else:
        _scalar(value, shape, where)


def _object(value: Mapping[str, object], shape: Mapping[str, object], where: str) -> None:
    for name, inner in shape.items():
        key = name.removesuffix("!")
        path = f"{where}.{key}" if where else key
        found = value.get(key)
        if name != key:
            _not_null(found, path)
        _check(found, inner, path)


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidArgument(f"{where}: must be an object")
    return cast("dict[str, object]", value)


def _sequence(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise InvalidArgument(f"{where}: must be an array")
    return cast("list[object]", value)


def _scalar(value: object, shape: object, where: str) -> None:
    if shape is bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{where}: must be true or false")
    elif isinstance(shape, Number):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidArgument(f"{where}: must be an integer")
        if not shape.least <= value <= shape.most:
            raise InvalidArgument(f"{where}: {value} is not from {shape.least} to {shape.most}")
    else:
        text = _text(value, where)
        if isinstance(shape, frozenset) and text not in shape:
            raise InvalidArgument(f"{where}: {text!r} is unknown")
        if isinstance(shape, Absolute) and not text.startswith("/"):
            raise InvalidArgument(f"{where}: {text!r} is not an absolute path")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{where}: must be a text")
    if "\0" in value:
        raise InvalidArgument(f"{where}: a zero byte cannot be in it")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidArgument(f"{where}: is not Unicode") from None
    return value


def _not_null(value: object, where: str) -> None:
    if value is None:
        raise InvalidArgument(f"{where}: is missing")
