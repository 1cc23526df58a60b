"""The steps that say how the kernel schedules a process, and as which system it appears to it."""

import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import InvalidArgument
from runtime.formats.spec import Spec, entries, section
from runtime.init.step import Child, Step
from runtime.linux import syscalls

_POLICIES: Final = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_SCHEDULER_FLAGS: Final = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_CLASSES: Final = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
MEMORY_MODES: Final = (
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
)
"""By number (linux/mempolicy.h)."""
MEMORY_FLAGS: Final = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
_MOST_NODES: Final = 1024
_DOMAINS: Final = {"LINUX": 0, "LINUX32": 8}  # linux/personality.h: PER_LINUX, PER_LINUX32


def of(spec: Spec, process: Spec) -> list[Step]:
    """Return the steps for what a process and its container ask for; `spec` may be empty."""
    steps: list[Step] = []
    if domain := section(section(spec, "linux"), "personality"):
        steps.append(Personality(domain))
    if scheduler := section(process, "scheduler"):
        steps.append(Scheduler(scheduler))
    if priority := section(process, "ioPriority"):
        steps.append(IoPriority(priority))
    if policy := section(section(spec, "linux"), "memoryPolicy"):
        steps.append(MemoryPolicy(policy))
    return steps


class Scheduler(Step):
    """Set policy, nice value and the like (sched_setattr(2))."""

    __slots__ = ("_packed", "_policy")

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._policy = str(wanted["policy"])
        if self._policy not in _POLICIES:
            raise InvalidArgument(f"process.scheduler.policy: {self._policy!r} is unknown")
        flags = 0
        for name in entries(wanted, "flags"):
            if name not in _SCHEDULER_FLAGS:
                raise InvalidArgument(f"process.scheduler.flags: {name!r} is unknown")
            flags |= _SCHEDULER_FLAGS[name]
        numbers = [wanted.get(key) or 0 for key in ("nice", "priority")]
        times = [wanted.get(key) or 0 for key in ("runtime", "deadline", "period")]
        if numbers[1] < 0:
            raise InvalidArgument("process.scheduler.priority: is less than 0")
        # struct sched_attr: size policy flags nice priority runtime deadline period
        self._packed = struct.pack(
            "=IIQiIQQQ", 48, _POLICIES[self._policy], flags, *numbers, *times
        )

    def describe(self) -> str:
        """Name the policy."""
        return f"process.scheduler: schedule by {self._policy}"

    def execute(self, _child: Child, /) -> None:
        """Set it for the only thread."""
        syscalls.call("sched_setattr", 0, self._packed, 0)


class IoPriority(Step):
    """Set the priority of input and output (ioprio_set(2))."""

    __slots__ = ("_class", "_level")

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._class = str(wanted["class"])
        if self._class not in _IO_CLASSES:
            raise InvalidArgument(f"process.ioPriority.class: {self._class!r} is unknown")
        self._level = int(wanted.get("priority") or 0)

    def describe(self) -> str:
        """Give class and level."""
        return f"process.ioPriority: set it to {self._class} {self._level}"

    def execute(self, _child: Child, /) -> None:
        """Set it for oneself: IOPRIO_WHO_PROCESS is 1."""
        syscalls.call("ioprio_set", 1, 0, _IO_CLASSES[self._class] << 13 | self._level)


class Personality(Step):
    """Appear as another execution domain, as a 32 bit system (personality(2))."""

    __slots__ = ("_domain",)

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._domain = str(wanted["domain"])
        if self._domain not in _DOMAINS:
            raise InvalidArgument(f"linux.personality.domain: {self._domain!r} is unknown")
        if entries(wanted, "flags"):
            raise InvalidArgument("linux.personality.flags: none is defined")

    def describe(self) -> str:
        """Name the domain."""
        return f"linux.personality: appear as {self._domain}"

    def execute(self, _child: Child, /) -> None:
        """Set it."""
        syscalls.personality(_DOMAINS[self._domain])


class MemoryPolicy(Step):
    """Take memory from some nodes (set_mempolicy(2)); the command inherits it."""

    __slots__ = ("_mode", "_name", "_nodes")

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._name = str(wanted["mode"])
        if self._name not in MEMORY_MODES:
            raise InvalidArgument(f"linux.memoryPolicy.mode: {self._name!r} is unknown")
        self._mode = MEMORY_MODES.index(self._name)
        for name in entries(wanted, "flags"):
            if name not in MEMORY_FLAGS:
                raise InvalidArgument(f"linux.memoryPolicy.flags: {name!r} is unknown")
            self._mode |= MEMORY_FLAGS[name]
        key = "linux.memoryPolicy.nodes"
        nodes: frozenset[int] = frozenset()
        if wanted.get("nodes"):
            nodes = parse_cpus(wanted["nodes"], key)
        if nodes and max(nodes) >= _MOST_NODES:
            raise InvalidArgument(f"{key}: {max(nodes)} is not below {_MOST_NODES}")
        self._nodes = sum(1 << each for each in nodes).to_bytes(_MOST_NODES // 8, "little")

    def describe(self) -> str:
        """Name the mode."""
        return f"linux.memoryPolicy: take memory by {self._name}"

    def execute(self, _child: Child, /) -> None:
        """Set it; the kernel takes one bit less than it is told of."""
        nodes = self._nodes if any(self._nodes) else None
        syscalls.call("set_mempolicy", self._mode, nodes, _MOST_NODES + 1 if nodes else 0)


class CpuAffinity(Step):
    """Run on some CPUs only (sched_setaffinity(2))."""

    __slots__ = ("_cpus", "_key", "_list")

    def __init__(self, text: str, key: str) -> None:
        self._key = key
        self._list = text
        self._cpus = parse_cpus(text, key)

    def describe(self) -> str:
        """Give the list."""
        return f"{self._key}: run on the CPUs {self._list}"

    def execute(self, _child: Child, /) -> None:
        """Set it; the cgroup's cpus limit it further."""
        os.sched_setaffinity(0, self._cpus)


def parse_cpus(text: str, key: str) -> frozenset[int]:
    """Return the numbers of a list such as `0-3,7`, or raise `InvalidArgument` with the key."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(each.isascii() and each.isdigit() and len(each) < 6 for each in ends):
            raise InvalidArgument(f"{key}: {text!r} is not a list of numbers")
        found.update(range(int(ends[0]), int(ends[1]) + 1))
    if not found:
        raise InvalidArgument(f"{key}: {text!r} is not a list of numbers")
    return frozenset(found)
