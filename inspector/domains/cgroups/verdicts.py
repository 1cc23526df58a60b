"""What is wrong with a container or a cgroup, with its numbers and in a plain sentence. Pure.

Of what grows (kills, throttled periods, refused forks) the last minute is told where the samples of
that time were kept, else the time since the sample before; of what is now, now.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from collectors.kernel import cgroups as raw
from inspector import units
from inspector.domains.cgroups import bounds, kills
from inspector.domains.cgroups.limits import THROTTLED, Limit, Limits, Table
from inspector.domains.cgroups.model import Finding, Severity
from inspector.domains.cgroups.window import Counters
from inspector.sample import rate

NEAR: Final = 0.9
"""Shares from which a sentence is said."""
STALLED: Final = 0.1
WAITING: Final = 0.25
REFAULTS: Final = 4 << 20
"""Bytes a second that are read again shortly after they had been dropped."""
DYING: Final = 100
_PAGE: Final = 4096
_MINUTE: Final = 50.0
"""Seconds that are called a minute."""
_RESOURCES: Final = {
    "cpu": "waits for a processor",
    "memory": "stalls for memory",
    "io": "io stalls",
}
_IO: Final = (
    ("read_bytes", "rbps", "blkio.throttle.read_bps_device", "reads"),
    ("write_bytes", "wbps", "blkio.throttle.write_bps_device", "writes"),
    ("read_ops", "riops", "blkio.throttle.read_iops_device", "reads"),
    ("write_ops", "wiops", "blkio.throttle.write_iops_device", "writes"),
)
"""Ours, the key in io.max, version 1's file, and what it does."""


def findings(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> tuple[Finding, ...]:
    """Return what is wrong, the worst kind first; empty where nothing is.

    `groups` are those of one container over all hierarchies, or one alone; `limits` what binds them.
    """
    return (
        *_kills(table, groups),
        *_throttling(table, groups),
        *_memory(table, groups, limits),
        *_pids(table, groups, limits),
        *pressure(groups),
        *_io(table, groups),
        *_rest(table, groups),
    )


def _kills(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[Finding]:
    for group in groups:
        gone = kills.dead_leaf(table, group)
        if group.memory is None or not (group.memory.oom_kills or gone):
            continue
        total = group.memory.oom_kills or 0
        new, seconds = _new(table, group)
        if total:
            times = _times(total, "process", "processes")
            lately = f", {new} of them {_when(seconds)}" if new else ""
            yield _finding(
                "oom_kill",
                "critical" if new else "notice",
                group.path,
                f"the kernel killed {times} for want of memory so far{lately}",
                numbers={"kills": total, "new_kills": new},
                seconds=seconds if new else None,
            )
        if gone is not None:
            count, where = gone
            of_these = "of these, " if total else "the kernel killed "
            what = str(count) if total else _times(count, "process", "processes")
            yield _finding(
                "oom_kill_gone",
                "critical",
                group.path,
                f"{of_these}{what} in a cgroup below that is gone: {where}",
                numbers={"kills": count},
                seconds=seconds,
            )


def _new(table: Table, group: raw.Cgroup) -> tuple[int, float | None]:
    """Return the kills of the last minute and how long that was; None: since the sample before."""
    grown = table.lately(group)
    if grown is not None:
        return grown.kills, table.past.seconds
    return kills.grown(table, group, "oom_kill"), None


def _throttling(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[Finding]:
    """Say who is held back by a quota: its own, or one above that counts for all below it."""
    if not table.held and not table.past.grown:
        return
    told: set[str] = set()
    for own in groups:
        for group in table.chain(own):
            ratio, seconds, lately = _held(table, group)
            if ratio < THROTTLED or group.path in told:
                continue
            told.add(group.path)
            file = _file(group, "cpu.max", "cpu.cfs_quota_us")
            when = f" {_when(seconds)}" if seconds is not None else ""
            cores = _cores(group)
            numbers: dict[str, float] = {"ratio": round(ratio, 4)}
            if lately is not None:
                numbers |= {"periods": lately.periods, "throttled_periods": lately.throttled}
            if cores is not None:
                numbers["limit_cores"] = cores
            yield _finding(
                "cpu_throttled",
                "critical" if ratio >= 0.5 else "warning",
                group.path,
                f"throttled {units.percent(ratio)} of periods{when} by {file} of {group.path}"
                f"{_quota(cores)}",
                numbers=numbers,
                seconds=seconds,
            )


def _held(table: Table, group: raw.Cgroup) -> tuple[float, float | None, Counters | None]:
    """Return the share of throttled periods, over which time, and the counts of the last minute."""
    grown = table.lately(group)
    now = table.throttled.get((group.hierarchy, group.path), 0.0)
    if grown is not None and grown.periods:
        ratio = min(1.0, grown.throttled / grown.periods)
        if ratio >= THROTTLED or now < THROTTLED:  # else it has only just begun
            return ratio, table.past.seconds, grown
    return now, None, None


def _memory(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Iterator[Finding]:
    group = next((one for one in groups if one.memory), None)
    if group is None or group.memory is None:
        return
    said = group.memory
    used = said.current_bytes
    working = None if used is None else max(0, used - (said.inactive_file_bytes or 0))
    if working is not None and limits.memory is not None and limits.memory.value:
        share = working / limits.memory.value
        if share >= NEAR:
            file = _file(group, "memory.max", "memory.limit_in_bytes")
            yield _finding(
                "memory_near_limit",
                "warning",
                limits.memory.path,
                f"memory at {units.percent(share)} of {_set(limits.memory, file)}",
                numbers={
                    "ratio": round(share, 4),
                    "used_bytes": working,
                    "limit_bytes": limits.memory.value,
                },
            )
    if limits.high is not None and used is not None and used >= limits.high.value:
        yield _finding(
            "memory_above_high",
            "warning",
            limits.high.path,
            f"memory is above {_set(limits.high, 'memory.high')}: it is slowed, and its pages are taken",
            numbers={"used_bytes": used, "high_bytes": limits.high.value},
        )
    yield from _hits(table, group)
    if limits.swap is not None and limits.swap.value and said.swap_bytes:
        share = said.swap_bytes / limits.swap.value
        if share >= NEAR:
            file = _file(group, "memory.swap.max", "memory.memsw.limit_in_bytes")
            yield _finding(
                "swap_near_limit",
                "warning",
                limits.swap.path,
                f"swap at {units.percent(share)} of {_set(limits.swap, file)}",
                numbers={
                    "ratio": round(share, 4),
                    "used_bytes": said.swap_bytes,
                    "limit_bytes": limits.swap.value,
                },
            )
    yield from _refaults(table, group)


def _hits(table: Table, group: raw.Cgroup) -> Iterator[Finding]:
    lately = table.lately(group)
    seconds = table.past.seconds if lately is not None else None
    event = "failcnt" if group.hierarchy else "max"
    hits = lately.hits if lately is not None else kills.grown(table, group, event)
    if hits:
        yield _finding(
            "memory_limit_hit",
            "warning",
            group.path,
            f"it hit a memory limit {_times(hits, 'time', 'times')} {_when(seconds)}",
            numbers={"hits": hits},
            seconds=seconds,
        )


def _refaults(table: Table, group: raw.Cgroup) -> Iterator[Finding]:
    before = table.previous(group)
    if table.seconds is None or before is None or before.memory is None or group.memory is None:
        return
    keys = ("workingset_refault_anon", "workingset_refault_file", "workingset_refault")
    pages = sum(
        max(0, group.memory.stat.get(key, 0) - before.memory.stat.get(key, 0)) for key in keys
    )
    size = pages * _PAGE / table.seconds
    if size >= REFAULTS:
        yield _finding(
            "memory_refaults",
            "warning",
            group.path,
            f"reads {units.size(size)}/s again that it had just dropped: too little memory for its files",
            numbers={"bytes_per_second": round(size)},
        )


def _pids(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Iterator[Finding]:
    group = next((one for one in groups if one.pids), None)
    if group is None or group.pids is None:
        return
    depth = table.depth(group)
    refused = (depth.pids_events or {}).get("max", 0) if depth is not None else 0
    lately = table.lately(group)
    new = lately.refused if lately is not None else 0
    if limits.pids is None or group.pids.current is None or not limits.pids.value:
        return
    share = group.pids.current / limits.pids.value
    if share < NEAR and not new:
        return
    so_far = f"; {_times(refused, 'fork was', 'forks were')} refused so far" if refused else ""
    when = f", {new} of them {_when(table.past.seconds)}" if new else ""
    yield _finding(
        "pids_near_limit",
        "critical" if new or share >= 1 else "warning",
        limits.pids.path,
        f"{group.pids.current} tasks of {limits.pids.value:.0f} that pids.max of "
        f"{limits.pids.path} allows{so_far}{when}",
        numbers={
            "current": group.pids.current,
            "limit": limits.pids.value,
            "refused": refused,
            "new_refused": new,
        },
        seconds=table.past.seconds if new else None,
    )


def pressure(groups: Sequence[raw.Cgroup]) -> Iterator[Finding]:
    """Say what tasks wait for, of the cgroup that tells."""
    group = next((one for one in groups if one.pressure), None)
    if group is None:
        return
    for resource, words in _RESOURCES.items():
        lines = (group.pressure or {}).get(resource)
        some = lines.some.avg10 / 100 if lines and lines.some else 0.0
        full = lines.full.avg10 / 100 if lines and lines.full else 0.0
        if some >= (WAITING if resource == "cpu" else STALLED):
            all_of_it = f", all of it {units.percent(full)}" if full >= 0.01 else ""
            yield _finding(
                f"{resource}_pressure",
                "critical" if full >= 0.5 else "warning",
                group.path,
                f"{words} {units.percent(some)} of the time{all_of_it}",
                numbers={"some": round(some, 4), "full": round(full, 4)},
                seconds=10.0,
            )


def _io(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[Finding]:
    """Say which device's limit is reached: by the rate since the sample before."""
    group = next((one for one in groups if one.io is not None), None)
    before = table.previous(group) if group is not None else None
    if group is None or before is None or not table.asked:
        return
    if group.hierarchy and table.below(group):
        return  # its counters have what is below it too, its limits in version 1 have not
    bound = bounds.of(table, group).io
    earlier = {one.device: one for one in before.io or ()}
    for device in group.io or ():
        then = earlier.get(device.device)
        for name, key, file, does in _IO if then is not None else ():
            limit = bound.get(device.device, {}).get(name)
            speed = rate(getattr(then, name), getattr(device, name), table.seconds)
            if limit is None or not limit.value or speed is None or speed < NEAR * limit.value:
                continue
            what = (
                units.size(limit.value) + "/s"
                if name.endswith("bytes")
                else (f"{limit.value:.0f} a second")
            )
            where = table.device_names.get(device.device, device.device)
            set_by = _file(group, f"{key} of io.max", file)
            yield _finding(
                "io_at_limit",
                "warning",
                limit.path,
                f"{does} {where} at {units.percent(speed / limit.value)} of {what} "
                f"that {set_by} of {limit.path} allows",
                numbers={
                    "ratio": round(speed / limit.value, 4),
                    f"{name}_per_second": round(speed),
                    "limit": limit.value,
                },
            )


def _rest(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[Finding]:
    for group in groups:
        depth = table.depth(group)
        if depth is None:
            continue
        if depth.dying_descendants and depth.dying_descendants >= DYING:
            yield _finding(
                "dying_cgroups",
                "notice",
                group.path,
                f"{depth.dying_descendants} removed cgroups below {group.path} are still kept: "
                "something is charged to them",
                numbers={"dying": depth.dying_descendants},
            )
        for size, pages in depth.hugetlb.items():
            if pages.failures:
                times = _times(pages.failures, "time", "times")
                yield _finding(
                    "hugetlb_refused",
                    "warning",
                    group.path,
                    f"huge pages of {size} were refused {times} by the limit of {group.path}",
                    numbers={"refused": pages.failures},
                )


def _finding(
    kind: str,
    severity: Severity,
    cgroup: str,
    sentence: str,
    *,
    numbers: Mapping[str, float],
    seconds: float | None = None,
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        cgroup=cgroup,
        sentence=sentence,
        numbers=numbers,
        window_seconds=None if seconds is None else round(seconds, 1),
    )


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "since the sample before"
    return "in the last minute" if seconds >= _MINUTE else f"in the last {seconds:.0f} s"


def _cores(group: raw.Cgroup) -> float | None:
    if group.cpu is None or group.cpu.quota_usec is None or not group.cpu.period_usec:
        return None
    return group.cpu.quota_usec / group.cpu.period_usec


def _quota(cores: float | None) -> str:
    return "" if cores is None else f": {cores:.3g} {'core' if cores == 1 else 'cores'}"


def _file(group: raw.Cgroup, version2: str, version1: str) -> str:
    return version1 if group.hierarchy else version2


def _set(limit: Limit, file: str) -> str:
    return f"{units.size(limit.value)} set by {file} of {limit.path}"


def _times(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
