"""The device controller of v1 (cgroup-v1/devices.rst); v2 has a BPF program instead."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import Spec, entries

KEY = "devices"
_ALWAYS = (
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
_ANY_NODE = ("c", "b")


def rules(resources: Spec) -> list[Spec]:
    """Return the spec's rules, and those without which its default devices could not be made.

    A spec that only denies everything means "but for the default devices" (config-linux.md,
    "Default Devices"). Without any rule there is no limit.
    """
    given = list(entries(resources, KEY))
    if not given:
        return []
    needed: list[Spec] = [{"allow": True, "type": kind, "access": "m"} for kind in _ANY_NODE]
    for kind, major, minor in _ALWAYS:
        rule = {"allow": True, "type": kind, "major": major, "access": "rwm"}
        needed.append(rule if minor is None else rule | {"minor": minor})
    return given + [rule for rule in needed if rule not in given]


def needed(_resources: Mapping[str, Any]) -> Sequence[str]:
    """Return nothing: on v2 there is no controller to need."""
    return ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return v1's writes in the order of the rules."""
    writes: list[Write] = []
    for rule in rules(resources):
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
