"""Reach into an OCI config.json, where an absent part and an empty one mean the same."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Spec = Mapping[str, Any]
"""An OCI config.json, or a part of it, as JSON decodes to it."""

CGROUP_TYPES: Final = frozenset({"cgroup", "cgroup2"})
"""Types of a mount that shows the container its cgroups."""
_EMPTY: Spec = {}


def section(spec: Spec, key: str) -> Spec:
    """Return an object below a key; an absent or null one is empty."""
    value: Spec | None = spec.get(key)
    return _EMPTY if value is None else value


def entries(spec: Spec, key: str) -> Sequence[Any]:
    """Return an array below a key; an absent or null one is empty."""
    value: Sequence[Any] | None = spec.get(key)
    return () if value is None else value
