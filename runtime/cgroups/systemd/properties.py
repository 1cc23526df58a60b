"""The limits of an OCI spec as properties of a unit (org.freedesktop.systemd1(5)).

What is not here systemd cannot say, or not exactly: the manager writes all limits into cgroupfs as
well, after this. But what systemd is not told it may take back at its next reload.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from runtime.cgroups import cpu, devices, io, memory
from runtime.cgroups.controller import Reader
from runtime.errors import InvalidArgument
from runtime.formats.spec import entries, section
from runtime.linux.bpf import Device, DeviceList

_INFINITY: Final = (1 << 64) - 1
_DEFAULT_PERIOD: Final = 100_000
_PERCENT: Final = 10_000
"""CPU time a second in microseconds: systemd keeps whole percents."""
_BLOCK, _CHARACTER = 1, 2
_ANNOTATION: Final = "org.systemd.property."
_ANNOTATED: Final = re.compile(r"[A-Z][A-Za-z0-9]*\Z")


class Property(NamedTuple):
    """One property: its name, the D-Bus type of its value, and the value."""

    name: str
    type: str
    value: Any

    def argument(self) -> tuple[str, tuple[str, Any]]:
        """Return it as an element of `a(sv)`."""
        return self.name, (self.type, self.value)


class Systemd(NamedTuple):
    """What the systemd at hand knows."""

    version: int
    unified: bool
    """Whether cgroup v2 is all that it uses."""


def resources(wanted: Mapping[str, Any], systemd: Systemd, current: Reader) -> tuple[Property, ...]:
    """Return the properties of an OCI `linux.resources`, those of devices left out.

    `current` reads the files of the unit's v2 cgroup, where an update depends on what is there.
    """
    found = [*_cpu(section(wanted, "cpu"), systemd), *_cpuset(section(wanted, "cpu"), systemd)]
    if systemd.unified:
        found.extend(_memory_second(wanted, current))
        found.extend(_raw(section(wanted, "unified"), systemd))
    elif (size := section(wanted, "memory").get("limit")) is not None and size:
        found.append(Property("MemoryLimit", "t", _limit(size)))
    found.extend(_io(section(wanted, "blockIO"), systemd))
    return tuple(found)


def tasks(wanted: Mapping[str, Any]) -> tuple[Property, ...]:
    """Return the property of the limit of processes, if one is asked for."""
    value = section(wanted, "pids").get("limit")
    return (Property("TasksMax", "t", _limit(value)),) if value else ()


def _limit(value: int) -> int:
    return _INFINITY if value < 0 else value


def _cpu(asked: Mapping[str, Any], systemd: Systemd) -> Iterator[Property]:
    if asked.get("shares"):
        if systemd.unified:
            yield Property("CPUWeight", "t", cpu.weight(asked["shares"]))
        else:
            yield Property("CPUShares", "t", asked["shares"])
    if systemd.unified and asked.get("idle") == 1 and systemd.version >= 252:
        yield Property("CPUWeight", "t", 0)
    yield from _quota(asked.get("quota") or 0, asked.get("period") or 0, systemd)


def _quota(quota: int, period: int, systemd: Systemd) -> Iterator[Property]:
    if period and systemd.version >= 242:
        yield Property("CPUQuotaPeriodUSec", "t", period)
    if quota > 0:
        # Rounded up, so that the exact quota still fits in where systemd sets its own.
        per_second = quota * 1_000_000 // (period or _DEFAULT_PERIOD)
        yield Property("CPUQuotaPerSecUSec", "t", -(-per_second // _PERCENT) * _PERCENT)
    elif quota < 0:
        yield Property("CPUQuotaPerSecUSec", "t", _INFINITY)


def _cpuset(asked: Mapping[str, Any], systemd: Systemd) -> Iterator[Property]:
    if not systemd.unified or systemd.version < 244:
        return  # systemd has no cpuset on v1
    for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        if asked.get(key):
            yield Property(name, "ay", bitmap(asked[key], f"linux.resources.cpu.{key}"))


def bitmap(text: str, key: str) -> bytes:
    """Return a list as "0-2,5" as a bitmap, the lowest number in the first byte's lowest bit."""
    bits = 0
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        numbers = [first, last] if dash else [first, first]
        if not all(each.isascii() and each.isdigit() for each in numbers):
            raise InvalidArgument(f"{key}: {text!r} is not a list of numbers")
        low, high = map(int, numbers)
        if not low <= high < 1 << 13:
            raise InvalidArgument(f"{key}: {part!r} is not a range of numbers")
        bits |= ((1 << (high - low + 1)) - 1) << low
    return bits.to_bytes(-(-bits.bit_length() // 8), "little")


_MEMORY_FILES: Final = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}


_MAX: Final = re.compile(r"(?P<quota>max|[0-9]+)(?: +(?P<period>[0-9]+))?\Z")
_LIST: Final = re.compile(r"[0-9]+(?:[-,][0-9]+)*\Z")


def _memory_second(wanted: Mapping[str, Any], current: Reader) -> Iterator[Property]:
    for write in memory.second(wanted, current):
        yield Property(_MEMORY_FILES[write.file], "t", _number(write.value))


def _number(text: str) -> int:
    return _INFINITY if text.strip() == "max" else int(text)


def _raw(unified: Mapping[str, str], systemd: Systemd) -> Iterator[Property]:
    """Yield what `linux.resources.unified` says of files whose property is known.

    A value that is not of the file's form is left to the kernel, which refuses it.
    """
    for file, text in unified.items():
        value = text.strip()
        if file in _MEMORY_FILES and (value == "max" or _digits(value)):
            yield Property(_MEMORY_FILES[file], "t", _number(value))
        elif file == "cpu.weight" and _digits(value):
            yield Property("CPUWeight", "t", int(value))
        elif file == "cpu.max" and (found := _MAX.match(value)):
            quota = -1 if found["quota"] == "max" else int(found["quota"])
            yield from _quota(quota, int(found["period"] or 0), systemd)
        elif file in {"cpuset.cpus", "cpuset.mems"} and _LIST.match(value):
            yield from _cpuset({file.removeprefix("cpuset."): value}, systemd)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


_THROTTLES: Final = (
    ("throttleReadBpsDevice", "IOReadBandwidthMax", "BlockIOReadBandwidth"),
    ("throttleWriteBpsDevice", "IOWriteBandwidthMax", "BlockIOWriteBandwidth"),
    ("throttleReadIOPSDevice", "IOReadIOPSMax", ""),
    ("throttleWriteIOPSDevice", "IOWriteIOPSMax", ""),
)


def _io(block: Mapping[str, Any], systemd: Systemd) -> Iterator[Property]:
    """Yield block IO's; v1's weights are v1's own, 10 to 1000."""
    word = "IO" if systemd.unified else "BlockIO"
    if weight := block.get("weight"):
        yield Property(f"{word}Weight", "t", _weight(weight, systemd))
    weights = [
        (_block(each), _weight(each["weight"], systemd))
        for each in entries(block, "weightDevice")
        if each.get("weight")
    ]
    if weights:
        yield Property(f"{word}DeviceWeight", "a(st)", weights)
    for key, second, first in _THROTTLES:
        name = second if systemd.unified else first
        rates = [(_block(each), _limit(each["rate"] or -1)) for each in entries(block, key)]
        if name and rates:
            yield Property(name, "a(st)", rates)


def _weight(value: int, systemd: Systemd) -> int:
    return io.second_weight(value) if systemd.unified else value


def _block(entry: Mapping[str, Any]) -> str:
    return f"/dev/block/{entry['major']}:{entry['minor']}"


def device_policy(wanted: Mapping[str, Any]) -> tuple[Property, ...]:
    """Return which devices may be used, as v1's systemd is to keep it; nothing without rules.

    It has lists of what is allowed alone: one of what is forbidden is left to cgroupfs.
    """
    rules = devices.rules(wanted)
    if not rules:
        return ()
    listed = DeviceList(rules)
    if listed.allow_by_default:
        return (Property("DevicePolicy", "s", "auto"), Property("DeviceAllow", "a(ss)", []))
    allowed = [
        (
            name,
            "".join(letter for letter, bit in zip("rwm", (2, 4, 1), strict=True) if access & bit),
        )
        for device, access in listed.exceptions.items()
        if (name := _device_name(device)) is not None
    ]
    return Property("DevicePolicy", "s", "strict"), Property("DeviceAllow", "a(ss)", allowed)


def _device_name(device: Device) -> str | None:
    """Return how systemd calls devices; None where it has no name for them."""
    kind = "block" if device.type == _BLOCK else "char"
    if device.major < 0:
        return f"{kind}-*" if device.minor < 0 else None
    if device.minor < 0:
        return f"{kind}-{device.major}" if device.type in {_BLOCK, _CHARACTER} else None
    return f"/dev/{kind}/{device.major}:{device.minor}"


def annotated(annotations: Mapping[str, str]) -> tuple[Property, ...]:
    """Return the properties in annotations `org.systemd.property.NAME`, as engines give them.

    The values are GVariant text: `true`, `'text'`, `5`, `uint32 5`, `int64 5`, `uint64 5`. A name
    that ends in `Sec` is of microseconds, which are `USec` on D-Bus.
    """
    found: list[Property] = []
    for key in sorted(annotations):
        if not key.startswith(_ANNOTATION):
            continue
        name = key.removeprefix(_ANNOTATION)
        if not _ANNOTATED.match(name):
            raise InvalidArgument(f"annotations.{key}: {name!r} is not the name of a property")
        kind, value = _variant(annotations[key], key)
        if name.endswith("Sec") and not name.endswith("USec"):
            name, kind, value = f"{name[:-3]}USec", "t", _microseconds(value, key)
        found.append(Property(name, kind, value))
    return tuple(found)


_INTEGERS: Final = {
    "int32": ("i", range(-(1 << 31), 1 << 31)),
    "uint32": ("u", range(1 << 32)),
    "int64": ("x", range(-(1 << 63), 1 << 63)),
    "uint64": ("t", range(1 << 64)),
    "byte": ("y", range(1 << 8)),
}


def _variant(text: str, key: str) -> tuple[str, Any]:
    text = text.strip()
    if text in {"true", "false"}:
        return "b", text == "true"
    if len(text) > 1 and text[0] == text[-1] and text[0] in {"'", '"'} and "\\" not in text:
        return "s", text[1:-1]
    kind, space, number = text.rpartition(" ")
    code, valid = _INTEGERS.get(kind if space else "int32", ("", range(0)))
    if not _digits(number.removeprefix("-")) or int(number) not in valid:
        raise InvalidArgument(f"annotations.{key}: {text!r} is no value that is known")
    return code, int(number)


def _microseconds(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgument(f"annotations.{key}: {value!r} is not a number of seconds")
    return value * 1_000_000


def whole(properties: Sequence[Property]) -> list[tuple[str, tuple[str, Any]]]:
    """Return properties as systemd takes them, `a(sv)`; of two of one name the last counts."""
    return [each.argument() for each in {each.name: each for each in properties}.values()]
