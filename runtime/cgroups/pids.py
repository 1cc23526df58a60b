"""The pids controller (cgroup-v1/pids.rst; cgroup-v2.rst, "PID")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write, limit
from runtime.formats.spec import section

KEY = "pids"


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("pids",) if there is a limit, or one is lifted."""
    return ("pids",) if section(resources, KEY).get("limit") else ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return the write, which is the same in both versions; 0 leaves it as it is."""
    value = section(resources, KEY).get("limit")
    return [Write("pids.max", limit(value))] if value else []


second = first
