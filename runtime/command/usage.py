"""`events`: what a container uses, as JSON in the form that runc gave it."""

import json
import re
import select
import sys
from collections.abc import Mapping
from typing import Any, Final

from runtime.cgroups.hierarchy import read
from runtime.command import cgroups
from runtime.command.arguments import Request
from runtime.command.store import Container, Store
from runtime.errors import FailedPrecondition, InvalidArgument
from runtime.init import attributes

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNLIMITED: Final = (1 << 64) - 1


def events(request: Request) -> int:
    """Print the numbers once, or at each interval until the container ends."""
    interval = duration(request.text("interval") or "5s")
    container = Store(request).find(request.id)
    if request.on("stats"):
        if container.status() == "stopped":
            raise FailedPrecondition(f"container not running: {request.id} has stopped")
        _print(container, "stats", _numbers(container))
        return 0
    pidfd = container.pidfd()
    watch = container.cgroup.oom_events()
    watched = [pidfd, *([watch.fileno()] if watch is not None else [])]
    while True:
        readable = select.select(watched, [], [], interval)[0]
        if pidfd in readable:
            return 0
        if watch is not None and readable:
            if watch.read():
                _print(container, "oom", None)
            continue
        _print(container, "stats", _numbers(container))


def duration(text: str) -> float:
    """Return seconds of a text such as `1.5s` or `1m30s`; raises `InvalidArgument`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise InvalidArgument(f"--interval: {text!r} is not a duration such as 5s")
    return seconds


def _numbers(container: Container) -> dict[str, Any]:
    described = describe(container.cgroup.stats())
    if not container.cgroup.unified():
        described["cpu"]["usage"] |= _each_cpu(container.cgroup.directory("cpuacct"))
        memory = container.cgroup.directory("memory")
        for part, file in (("swap", "memsw"), ("kernel", "kmem")):
            peak = _read(memory, f"memory.{file}.max_usage_in_bytes")
            described["memory"][part]["max"] = int(peak or 0)
        described["cpuset"] = _cpuset(container.cgroup.directory("cpuset"))
    if group := cgroups.service_class(container.record):
        described["intel_rdt"] = group.describe()
    return described


def _each_cpu(directory: str | None) -> dict[str, list[int]]:
    """Return the time on each CPU, which version 1 alone tells (cgroup-v1/cpuacct.rst)."""
    text = _read(directory, "cpuacct.usage_all")
    rows = [list(map(int, line.split())) for line in text.splitlines()[1:]]
    found = {"percpu": [int(each) for each in _read(directory, "cpuacct.usage_percpu").split()]}
    if rows:
        found["percpu_user"] = [user for _, user, _ in rows]
        found["percpu_kernel"] = [system for _, _, system in rows]
    return found


_CPUSET: Final = (
    "cpu_exclusive",
    "mem_exclusive",
    "mem_hardwall",
    "memory_migrate",
    "memory_pressure",
    "memory_spread_page",
    "memory_spread_slab",
    "sched_load_balance",
    "sched_relax_domain_level",
)


def _cpuset(directory: str | None) -> dict[str, Any]:
    """Return what version 1's cpuset says; empty where it is not mounted."""
    found: dict[str, Any] = {}
    for key, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        if text := _read(directory, file).strip():
            found[key] = sorted(attributes.parse_cpus(text, file))
    for key in _CPUSET:
        if text := _read(directory, f"cpuset.{key}"):
            found[key] = int(text)
    return found


def _read(directory: str | None, file: str) -> str:
    try:
        return "" if directory is None else read(f"{directory}/{file}").decode()
    except FileNotFoundError:
        return ""


def _print(container: Container, kind: str, data: Mapping[str, Any] | None) -> None:
    event: dict[str, Any] = {"type": kind, "id": container.record.id}
    if data is not None:
        event["data"] = data
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def describe(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of `cgroups.statistics` by runc's names, times in nanoseconds."""
    return {
        "cpu": _cpu(stats.get("cpu", {})),
        "cpuset": {},
        "memory": _memory(stats.get("memory", {})),
        "pids": _pids(stats.get("pids", {})),
        "blkio": _block(stats.get("io", ())),
        "hugetlb": {
            size: {
                "usage": each.get("usage_bytes", 0),
                "max": each.get("peak_bytes", 0),
                "failcnt": each.get("failures", 0),
            }
            for size, each in stats.get("hugetlb", {}).items()
        },
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu(cpu: Mapping[str, int]) -> dict[str, Any]:
    return {
        "usage": {
            "total": cpu.get("usage_usec", 0) * 1000,
            "kernel": cpu.get("system_usec", 0) * 1000,
            "user": cpu.get("user_usec", 0) * 1000,
        },
        "throttling": {
            "periods": cpu.get("periods", 0),
            "throttledPeriods": cpu.get("throttled_periods", 0),
            "throttledTime": cpu.get("throttled_usec", 0) * 1000,
        },
    }


def _memory(memory: Mapping[str, Any]) -> dict[str, Any]:
    stat: Mapping[str, int] = memory.get("stat", {})
    limit = _limit(memory.get("limit_bytes", -1))
    swap = memory.get("swap_bytes", 0)
    return {
        "cache": stat.get("cache", stat.get("file", 0)),
        "usage": {
            "limit": limit,
            "usage": memory.get("usage_bytes", 0),
            "max": memory.get("peak_bytes", 0),
            "failcnt": memory.get("failures", 0),
        },
        "swap": {
            "limit": _limit(memory.get("swap_limit_bytes", -1)),
            "usage": memory.get("usage_bytes", 0) + swap,
            "max": 0,
            "failcnt": 0,
        },
        "kernel": {
            "limit": _UNLIMITED,
            "usage": memory.get("kernel_bytes", 0),
            "max": 0,
            "failcnt": 0,
        },
        "kernelTCP": {"limit": _UNLIMITED, "failcnt": 0},
        "raw": dict(stat),
    }


def _limit(value: int) -> int:
    return _UNLIMITED if value < 0 else value


def _pids(pids: Mapping[str, int]) -> dict[str, int]:
    found = {"current": pids.get("current", 0)}
    if pids.get("limit", -1) >= 0:
        found["limit"] = pids["limit"]
    return found


def _block(entries: list[Mapping[str, int]]) -> dict[str, Any]:
    result: dict[str, list[dict[str, Any]]] = {}
    for name, unit in (("ioServiceBytesRecursive", "bytes"), ("ioServicedRecursive", "ops")):
        rows = [
            {
                "major": each["major"],
                "minor": each["minor"],
                "op": operation.title(),
                "value": each[f"{operation}_{unit}"],
            }
            for each in entries
            for operation in ("read", "write")
            if f"{operation}_{unit}" in each
        ]
        if rows:
            result[name] = rows
    return result
