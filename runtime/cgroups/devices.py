"""The device controller of v1 (cgroup-v1/devices.rst); v2 has a BPF program instead."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import entries

KEY = "devices"


def needed(_resources: Mapping[str, Any]) -> Sequence[str]:
    """Return nothing: on v2 there is no controller to need."""
    return ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return v1's writes in the order of the rules."""
    writes: list[Write] = []
    for rule in entries(resources, KEY):
        kind = rule.get("type") or "a"
        numbers = [rule.get(key) for key in ("major", "minor")]
        major, minor = ("*" if each is None or each < 0 else str(each) for each in numbers)
        access = rule.get("access") or "rwm"
        writes.append(
            Write(
                "devices.allow" if rule["allow"] else "devices.deny",
                "a" if kind == "a" else f"{kind} {major}:{minor} {access}",
            )
        )
    return writes


def second(_resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return nothing: v2 has no files for it."""
    return ()
