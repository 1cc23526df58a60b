"""The controller of RDMA resources (cgroup-v1/rdma.rst; cgroup-v2.rst, "RDMA")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import section

KEY = "rdma"
_NAMES = {"hcaHandles": "hca_handle", "hcaObjects": "hca_object"}


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("rdma",) if a limit is asked for."""
    return ("rdma",) if section(resources, KEY) else ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return a write for each device, which is the same in both versions."""
    writes: list[Write] = []
    for device, limits in section(resources, KEY).items():
        words = [
            f"{name}={limits[key]}" for key, name in _NAMES.items() if limits.get(key) is not None
        ]
        if words:
            writes.append(Write("rdma.max", " ".join((device, *words))))
    return writes


second = first
