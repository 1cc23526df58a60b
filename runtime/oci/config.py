"""The shape of an OCI config.json: which property is what, so that a wrong one is named.

Only what could not be used is refused here; a property that is not in the table is ignored, as the
specification demands (config.md, "Extensibility"). Whether this runtime and this host can do it, is
for who does it.
"""

import os
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, cast

from runtime.errors import InvalidArgument
from runtime.linux import caps
from runtime.oci.shapes import (
    CAPABILITY_SETS,
    CONFIG,
    HOOKS,
    PROCESS,
    RESOURCES,
    Absolute,
    MapOf,
    Number,
)

_NEWEST: Final = (1, 3)
_PAGE_SIZE: Final = re.compile(r"[1-9][0-9]{0,5}[KMG]B\Z")


def check(spec: Mapping[str, Any]) -> None:
    """Check a whole config.json; raises `InvalidArgument` naming the property."""
    _check(spec, CONFIG, "")
    _version(spec["ociVersion"])
    if not spec["root"]["path"]:
        raise InvalidArgument("root.path: is empty")
    if spec.get("process"):
        _process(spec["process"], "process.")
    for index, mount in enumerate(spec.get("mounts") or ()):
        if not mount["destination"]:
            raise InvalidArgument(f"mounts[{index}].destination: is empty")
    hooks: Mapping[str, Sequence[Mapping[str, Any]]] = spec.get("hooks") or {}
    for kind in HOOKS:
        for index, hook in enumerate(hooks.get(kind) or ()):
            if hook.get("args") and not hook["args"][0]:
                raise InvalidArgument(f"hooks.{kind}[{index}].args[0]: is empty")
            _environment(hook, f"hooks.{kind}[{index}].")
    _linux(spec.get("linux") or {})


def _environment(value: Mapping[str, Any], prefix: str) -> None:
    for entry in value.get("env") or ():
        if "=" not in entry[1:]:
            raise InvalidArgument(f"{prefix}env: {entry!r} is not KEY=VALUE")


def _linux(linux: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for entry in linux.get("namespaces") or ():
        if entry["type"] in seen:
            raise InvalidArgument(f"linux.namespaces: {entry['type']} is there twice")
        seen.add(entry["type"])
        if entry.get("path") and not entry["path"].startswith("/"):
            raise InvalidArgument(
                f"linux.namespaces: {entry['type']}: {entry['path']!r} is not an absolute path"
            )
    _seccomp(linux.get("seccomp") or {})
    for index, device in enumerate(linux.get("devices") or ()):
        for key in ("major", "minor"):
            if device["type"] != "p" and device.get(key) is None:
                raise InvalidArgument(f"linux.devices[{index}].{key}: is missing")
    _sysctls(linux.get("sysctl") or {}, seen)
    if '"' in (linux.get("mountLabel") or ""):
        raise InvalidArgument("linux.mountLabel: a quotation mark cannot be in it")
    devices: Mapping[str, Mapping[str, str] | None] = linux.get("netDevices") or {}
    for name, device in devices.items():
        _device_name(name, "linux.netDevices")
        _device_name((device or {}).get("name") or name, f"linux.netDevices.{name}.name")
    _resources(linux.get("resources") or {}, "linux.resources.")


_ANSWERING: Final = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
"""The actions that take a number to return (config-linux.md, "Seccomp")."""


def _seccomp(profile: Mapping[str, Any]) -> None:
    where = "linux.seccomp"
    if profile.get("listenerMetadata") and not profile.get("listenerPath"):
        raise InvalidArgument(f"{where}.listenerMetadata: there is no listenerPath")
    if profile.get("defaultErrnoRet") is not None and profile["defaultAction"] not in _ANSWERING:
        raise InvalidArgument(f"{where}.defaultErrnoRet: {profile['defaultAction']!r} takes none")
    for index, rule in enumerate(profile.get("syscalls") or ()):
        if not rule["names"]:
            raise InvalidArgument(f"{where}.syscalls[{index}].names: is empty")
        if rule.get("errnoRet") is not None and rule["action"] not in _ANSWERING:
            raise InvalidArgument(
                f"{where}.syscalls[{index}].errnoRet: {rule['action']!r} takes none"
            )


_NAMESPACED: Final = {
    "net.": "network",
    "fs.mqueue.": "ipc",
    **dict.fromkeys(("kernel.msg", "kernel.shm"), "ipc"),
    "kernel.sem": "ipc",
}
"""The beginnings of parameters that each namespace of a type has of its own."""


def _sysctls(parameters: Mapping[str, str], kinds: Set[str]) -> None:
    """Refuse those that would change the host's."""
    for key in parameters:
        if {"", ".", ".."} & set(key.split("/")):
            raise InvalidArgument(f"linux.sysctl.{key}: is not the name of a parameter")
        dotted = key.replace("/", ".")
        owner = next((kind for start, kind in _NAMESPACED.items() if dotted.startswith(start)), "")
        if not owner:
            raise InvalidArgument(f"linux.sysctl.{key}: is not of any namespace, but of the host")
        if owner not in kinds:
            raise InvalidArgument(
                f"linux.sysctl.{key}: needs a namespace of the container's own of the type {owner}"
            )


def _device_name(name: str, where: str) -> None:
    """Raise unless it can be the name of a network device (dev_valid_name in net/core/dev.c)."""
    wrong = name in {".", ".."} or any(each in "/:" or each.isspace() for each in name)
    if not 0 < len(os.fsencode(name)) < 16 or wrong:
        raise InvalidArgument(f"{where}: {name!r} is not the name of a network device")


def _resources(limited: Mapping[str, Any], prefix: str) -> None:
    for index, each in enumerate(limited.get("hugepageLimits") or ()):
        if not _PAGE_SIZE.match(each["pageSize"]):
            raise InvalidArgument(
                f"{prefix}hugepageLimits[{index}].pageSize: {each['pageSize']!r} is not a size "
                "such as 2MB"
            )
    for index, rule in enumerate(limited.get("devices") or ()):
        if set(rule.get("access") or "") - set("rwm"):
            raise InvalidArgument(f"{prefix}devices[{index}].access: is not of r, w, m")


def process(value: Mapping[str, Any]) -> None:
    """Check an OCI process alone, as exec takes it; raises `InvalidArgument`."""
    _check(value, PROCESS, "")
    _process(value, "")


def resources(value: Mapping[str, Any]) -> None:
    """Check an OCI linux.resources alone, as update takes it; raises `InvalidArgument`."""
    _check(value, RESOURCES, "")
    _resources(value, "")


def _version(text: str) -> None:
    numbers = text.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(each.isascii() and each.isdigit() for each in numbers):
        raise InvalidArgument(f"ociVersion: {text!r} is not a version")
    if int(numbers[0]) != 1 or int(numbers[1]) > _NEWEST[1]:
        raise InvalidArgument(f"ociVersion: {text!r} is not supported; 1.0 to 1.{_NEWEST[1]} are")


def _process(value: Mapping[str, Any], prefix: str) -> None:
    if not value["args"] or not value["args"][0]:
        raise InvalidArgument(f"{prefix}args: there is no command")
    _environment(value, prefix)
    _capabilities(value.get("capabilities") or {}, prefix)
    seen: set[str] = set()
    for limit in value.get("rlimits") or ():
        if limit["type"] in seen:
            raise InvalidArgument(f"{prefix}rlimits: {limit['type']} is there twice")
        if limit["soft"] > limit["hard"]:
            raise InvalidArgument(f"{prefix}rlimits: {limit['type']}: soft is above hard")
        seen.add(limit["type"])


def _capabilities(value: Mapping[str, Any], prefix: str) -> None:
    for kind in CAPABILITY_SETS:
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
