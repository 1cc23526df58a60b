"""The cpuset controller (cgroup-v1/cpusets.rst; cgroup-v2.rst, "Cpuset")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import section

KEY = "cpu"


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("cpuset",) if cpus or memory nodes are asked for."""
    cpu = section(resources, KEY)
    return ("cpuset",) if cpu.get("cpus") or cpu.get("mems") else ()


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return the writes, which are the same in both versions."""
    cpu = section(resources, KEY)
    files = (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems"))
    return [Write(file, str(cpu[key])) for key, file in files if cpu.get(key)]


second = first
