"""A cgroup's numbers in one form for v1 and v2, in the kernel's units; -1 is no limit.

`cpu`: usage_usec user_usec system_usec periods throttled_periods throttled_usec; `memory`:
usage_bytes peak_bytes limit_bytes swap_bytes swap_limit_bytes failures oom_kills stat{};
`pids`: current limit; `io`: a list of {major minor read_bytes write_bytes read_ops write_ops};
`hugetlb`: by page size, usage_bytes peak_bytes limit_bytes failures. What a kernel does not tell is
absent.
"""

import os
from collections.abc import Mapping
from typing import Any

from runtime.cgroups.hierarchy import read
from runtime.formats import flat

_UNLIMITED = 1 << 62
_TICK_USEC = 1_000_000 // os.sysconf("SC_CLK_TCK")
Places = Mapping[str, tuple[int, str]]
"""From a controller to its hierarchy's version and the cgroup's directory there."""


def collect(places: Places) -> dict[str, Any]:
    """Return what the controllers say; one whose files are not there is left out."""
    result: dict[str, Any] = {}
    if cpu := _cpu(places):
        result["cpu"] = cpu
    for name, readers in (
        ("memory", (_memory_first, _memory_second)),
        ("pids", (_pids, _pids)),
        ("io", (_io_first, _io_second)),
        ("hugetlb", (_hugetlb_first, _hugetlb_second)),
    ):
        if name not in places:
            continue
        version, directory = places[name]
        try:
            result[name] = readers[version - 1](directory)
        except FileNotFoundError:
            continue
    return result


def _number(path: str) -> int | None:
    try:
        text = read(path).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if text == b"max":
        return -1
    value = int(text)
    return -1 if value >= _UNLIMITED else value


def _present(values: Mapping[str, int | None]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _flat(path: str) -> dict[str, int]:
    try:
        return flat.parse(read(path))
    except FileNotFoundError:
        return {}


def _cpu(places: Places) -> dict[str, Any]:
    result: dict[str, int | None] = {}
    version, directory = places.get("cpu", (0, ""))
    stat = _flat(f"{directory}/cpu.stat") if version else {}
    if version == 2:
        for key in ("usage_usec", "user_usec", "system_usec", "throttled_usec"):
            result[key] = stat.get(key)
    elif version == 1:
        throttled = stat.get("throttled_time")
        result["throttled_usec"] = None if throttled is None else throttled // 1000
    result["periods"] = stat.get("nr_periods")
    result["throttled_periods"] = stat.get("nr_throttled")
    if "cpuacct" in places and places["cpuacct"][0] == 1:
        accounting = places["cpuacct"][1]
        usage = _number(f"{accounting}/cpuacct.usage")
        ticks = _flat(f"{accounting}/cpuacct.stat")
        result["usage_usec"] = None if usage is None else usage // 1000
        for key in ("user", "system"):
            result[f"{key}_usec"] = ticks[key] * _TICK_USEC if key in ticks else None
    return _present(result)


def _memory_first(directory: str) -> dict[str, Any]:
    usage = _number(f"{directory}/memory.usage_in_bytes")
    both = _number(f"{directory}/memory.memsw.usage_in_bytes")
    result: dict[str, Any] = _present(
        {
            "usage_bytes": usage,
            "peak_bytes": _number(f"{directory}/memory.max_usage_in_bytes"),
            "limit_bytes": _number(f"{directory}/memory.limit_in_bytes"),
            "swap_bytes": None if both is None or usage is None else max(both - usage, 0),
            "swap_limit_bytes": _number(f"{directory}/memory.memsw.limit_in_bytes"),
            "failures": _number(f"{directory}/memory.failcnt"),
            "kernel_bytes": _number(f"{directory}/memory.kmem.usage_in_bytes"),
            "oom_kills": _flat(f"{directory}/memory.oom_control").get("oom_kill"),
        }
    )
    return result | {"stat": flat.parse(read(f"{directory}/memory.stat"))}


def _memory_second(directory: str) -> dict[str, Any]:
    events = _flat(f"{directory}/memory.events")
    stat = flat.parse(read(f"{directory}/memory.stat"))
    result: dict[str, Any] = _present(
        {
            "usage_bytes": _number(f"{directory}/memory.current"),
            "peak_bytes": _number(f"{directory}/memory.peak"),
            "limit_bytes": _number(f"{directory}/memory.max"),
            "swap_bytes": _number(f"{directory}/memory.swap.current"),
            "swap_limit_bytes": _number(f"{directory}/memory.swap.max"),
            "failures": events.get("max"),
            "kernel_bytes": stat.get("kernel"),
            "oom_kills": events.get("oom_kill"),
        }
    )
    return result | {"stat": stat}


def _pids(directory: str) -> dict[str, Any]:
    return {
        "current": int(read(f"{directory}/pids.current")),
        "limit": _number(f"{directory}/pids.max"),
    }


_OPERATIONS = {
    "rbytes": "read_bytes",
    "wbytes": "write_bytes",
    "rios": "read_ops",
    "wios": "write_ops",
}


def _io_second(directory: str) -> list[dict[str, int]]:
    result: list[dict[str, int]] = []
    for line in read(f"{directory}/io.stat").decode().splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        if not minor:
            continue
        entry = {"major": int(major), "minor": int(minor)}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key in _OPERATIONS:
                entry[_OPERATIONS[key]] = int(value)
        result.append(entry)
    return result


def _io_first(directory: str) -> list[dict[str, int]]:
    result: dict[str, dict[str, int]] = {}
    for file, unit in (("io_service_bytes", "bytes"), ("io_serviced", "ops")):
        for line in read(f"{directory}/blkio.throttle.{file}").decode().splitlines():
            fields = line.split()
            if len(fields) != 3 or fields[1] not in {"Read", "Write"}:
                continue
            major, _, minor = fields[0].partition(":")
            entry = result.setdefault(fields[0], {"major": int(major), "minor": int(minor)})
            entry[f"{fields[1].lower()}_{unit}"] = int(fields[2])
    return list(result.values())


def _hugetlb(directory: str, *, usage: str, peak: str, limit: str) -> dict[str, dict[str, int]]:
    result: dict[str, dict[str, int]] = {}
    for name in sorted(os.listdir(directory)):
        parts = name.split(".")
        if parts[0] == "hugetlb" and len(parts) == 3 and parts[2] == usage:
            prefix = f"{directory}/hugetlb.{parts[1]}."
            result[parts[1]] = _present(
                {
                    "usage_bytes": _number(prefix + usage),
                    "peak_bytes": _number(prefix + peak) if peak else None,
                    "limit_bytes": _number(prefix + limit),
                    "failures": _number(prefix + "failcnt")
                    if limit != "max"
                    else _flat(prefix + "events").get("max"),
                }
            )
    return result


def _hugetlb_first(directory: str) -> dict[str, dict[str, int]]:
    return _hugetlb(
        directory, usage="usage_in_bytes", peak="max_usage_in_bytes", limit="limit_in_bytes"
    )


def _hugetlb_second(directory: str) -> dict[str, dict[str, int]]:
    return _hugetlb(directory, usage="current", peak="", limit="max")
