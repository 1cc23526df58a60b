"""The memory controller (cgroup-v1/memory.rst; cgroup-v2.rst, "Memory")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write, limit
from runtime.errors import FailedPrecondition, InvalidArgument
from runtime.formats.spec import section

KEY = "memory"
_UNLIMITED = 1 << 62


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("memory",) if anything is asked for."""
    return ("memory",) if _asked(resources) else ()


def _asked(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is asked for; 0 is how engines leave a limit as it is, but for swappiness."""
    memory = section(resources, KEY)
    return {
        key: value
        for key, value in memory.items()
        if value or (key == "swappiness" and value is not None)
    }


def first(resources: Mapping[str, Any], current: Reader) -> Sequence[Write]:
    """Return v1's writes; memory never exceeds memory+swap on the way."""
    memory = _asked(resources)
    size, total = memory.get("limit"), memory.get("swap")
    limits: list[Write] = []
    if size is not None:
        limits.append(Write("memory.limit_in_bytes", str(size)))
    if total is not None:
        # Without swap accounting the file is missing, and there is nothing to limit.
        write = Write("memory.memsw.limit_in_bytes", str(total), optional=True)
        held = int(current("memory.memsw.limit_in_bytes") or _UNLIMITED)
        raised = total < 0 or (size is not None and 0 <= held < (size if size >= 0 else _UNLIMITED))
        limits.insert(0 if raised else len(limits), write)
    rest = (
        ("reservation", "memory.soft_limit_in_bytes"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
        ("swappiness", "memory.swappiness"),
    )
    for key, file in rest:
        if memory.get(key) is not None:
            limits.append(Write(file, str(memory[key])))
    if memory.get("disableOOMKiller"):
        limits.append(Write("memory.oom_control", "1"))
    if memory.get("useHierarchy"):
        limits.append(Write("memory.use_hierarchy", "1", optional=True))
    return limits


def second(resources: Mapping[str, Any], current: Reader) -> Sequence[Write]:
    """Return v2's writes; v2's swap limit is swap alone."""
    memory = _asked(resources)
    size, total = memory.get("limit"), memory.get("swap")
    used = int(current("memory.current") or 0) if memory.get("checkBeforeUpdate") else 0
    if size is not None and 0 <= size < used:
        # Version 1 refuses it by itself, where this one would kill.
        raise FailedPrecondition(
            f"linux.resources.memory.limit: {size} is less than the {used} bytes that are in use"
        )
    writes: list[Write] = []
    if total is not None:
        writes.append(_swap(size, total, current))
    if size is not None:
        writes.append(Write("memory.max", limit(size)))
    if memory.get("reservation") is not None:
        writes.append(Write("memory.low", limit(memory["reservation"])))
    return writes


def _swap(size: int | None, total: int, current: Reader) -> Write:
    if total < 0:
        return Write("memory.swap.max", "max", optional=True)
    if size is None:
        held = (current("memory.max") or "max").strip()
        if held == "max":
            raise InvalidArgument("linux.resources.memory.swap needs a memory limit")
        size = int(held)
    if size > total:
        raise InvalidArgument(
            f"linux.resources.memory: the limit of memory and swap ({total}) is less than that of "
            f"memory ({size})"
        )
    return Write("memory.swap.max", str(total - size) if size >= 0 else "0", optional=True)
