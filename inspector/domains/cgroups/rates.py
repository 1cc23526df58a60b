"""What cgroups' counters grew by between two samples, a second. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups.limits import Table
from inspector.sample import rate

COUNTED: Final = (
    "pgfault",
    "pgmajfault",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "workingset_refault",
    "workingset_refault_anon",
    "workingset_refault_file",
    "workingset_activate",
    "workingset_activate_anon",
    "workingset_activate_file",
    "workingset_restore",
    "workingset_restore_anon",
    "workingset_restore_file",
    "workingset_nodereclaim",
    "thp_fault_alloc",
    "thp_collapse_alloc",
    "pgpgin",
    "pgpgout",
    "pswpin",
    "pswpout",
    "zswpin",
    "zswpout",
    "zswpwb",
)
"""What of memory.stat counts pages and faults; which of it there is depends on the kernel."""


def of_stat(
    before: Mapping[str, int], after: Mapping[str, int], seconds: float | None
) -> dict[str, float]:
    """Return the counts of memory.stat that grew, a second; empty without a sample before."""
    if seconds is None or before is after:
        return {}
    return {
        name: (after[name] - before[name]) / seconds
        for name in COUNTED
        if name in after and name in before and after[name] > before[name]
    }


def of_cpu(table: Table, counted: raw.Cgroup | None, governed: raw.Cgroup | None) -> dict[str, Any]:
    """Return the processor's, of the cgroup that counts and of the one that has the quota."""
    seconds = table.seconds
    usage, used = _cpus(table, counted)
    rule, ruled = _cpus(table, governed)
    user = rate(used.user_usec, usage.user_usec, seconds)
    system = rate(used.system_usec, usage.system_usec, seconds)
    return {
        "user_cores": None if user is None else user / 1e6,
        "system_cores": None if system is None else system / 1e6,
        "periods_per_second": rate(ruled.periods, rule.periods, seconds),
        "throttled_periods_per_second": rate(
            ruled.throttled_periods, rule.throttled_periods, seconds
        ),
        "throttled_usec_per_second": rate(ruled.throttled_usec, rule.throttled_usec, seconds),
    }


_NO_CPU: Final = raw.Cpu()


def _cpus(table: Table, group: raw.Cgroup | None) -> tuple[raw.Cpu, raw.Cpu]:
    """Return a cgroup's processor now and before; nothing is known where it is not told."""
    if group is None or group.cpu is None:
        return _NO_CPU, _NO_CPU
    before = table.previous(group)
    return group.cpu, before.cpu if before is not None and before.cpu is not None else _NO_CPU


def of_device(
    then: raw.IoDevice | None, now: raw.IoDevice, seconds: float | None
) -> dict[str, Any]:
    """Return the discards and the cost of one device; a cost is a share of the time between."""
    if then is None:
        return {}
    ratios = {
        name: grown / 1e6
        for name, value in now.cost.items()
        for grown in (rate(then.cost.get(name), value, seconds),)
        if grown is not None
    }
    return {
        "discard_bytes_per_second": rate(then.discard_bytes, now.discard_bytes, seconds),
        "discard_ops_per_second": rate(then.discard_ops, now.discard_ops, seconds),
        "cost_ratios": ratios,
    }


def stalled(
    before: raw.PressureLine | None, now: raw.PressureLine, seconds: float | None
) -> float | None:
    """Return the share of the time between in which somebody waited.

    The kernel adds to the total up to two seconds late (kernel/sched/psi.c): it is cut off at 1.
    """
    grown = rate(before.total_usec if before is not None else None, now.total_usec, seconds)
    return None if grown is None else min(1.0, round(grown / 1e6, 6))
