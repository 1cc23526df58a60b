"""The cpu controller (sched-bwc.rst; cgroup-v2.rst, "CPU")."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.controller import Reader, Write
from runtime.formats.spec import section

KEY = "cpu"
_KEYS = ("shares", "quota", "period", "burst", "idle", "realtimeRuntime", "realtimePeriod")
_ZERO_SAYS = ("burst", "idle")
"""Where 0 is a value; elsewhere it is how engines leave a limit as it is."""


def needed(resources: Mapping[str, Any]) -> Sequence[str]:
    """Return ("cpu",) if anything of it is asked for."""
    return ("cpu",) if _asked(resources) else ()


def _asked(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    cpu = section(resources, KEY)
    return {
        key: cpu[key]
        for key in _KEYS
        if cpu.get(key) or (key in _ZERO_SAYS and cpu.get(key) is not None)
    }


def first(resources: Mapping[str, Any], _current: Reader) -> Sequence[Write]:
    """Return v1's writes."""
    cpu = _asked(resources)
    files = (
        ("shares", "cpu.shares"),
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
        ("burst", "cpu.cfs_burst_us"),
        ("idle", "cpu.idle"),
    )
    return [Write(file, str(cpu[key])) for key, file in files if key in cpu]


def second(resources: Mapping[str, Any], current: Reader) -> Sequence[Write]:
    """Return v2's writes; a period alone keeps the quota that is there."""
    cpu = _asked(resources)
    writes: list[Write] = []
    if "idle" in cpu:
        writes.append(Write("cpu.idle", str(cpu["idle"])))
    if "shares" in cpu:
        writes.append(Write("cpu.weight", str(weight(cpu["shares"]))))
    quota, period = cpu.get("quota"), cpu.get("period")
    if quota is not None or period is not None:
        if quota is None:
            value = (current("cpu.max") or "max").split()[0]
        else:
            value = "max" if quota < 0 else str(quota)
        writes.append(Write("cpu.max", f"{value} {period}" if period is not None else value))
    if "burst" in cpu:
        writes.append(Write("cpu.max.burst", str(cpu["burst"])))
    return writes


def weight(shares: int) -> int:
    """Return v1 shares (2 to 262144) as a v2 weight (1 to 10000).

    A curve through (2, 1), (1024, 100) and (262144, 10000) in logarithms, so that a default
    container weighs as much as a default cgroup; the other runtimes use the same.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    import math  # noqa: PLC0415 - v1 does without

    logarithm = math.log2(shares)
    return math.ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34))
