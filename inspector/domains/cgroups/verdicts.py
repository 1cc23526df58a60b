"""What is wrong with a container or a cgroup, in plain sentences. Pure: from two samples alone."""

from collections.abc import Iterator, Sequence
from typing import Final

from collectors.kernel import cgroups as raw
from inspector import units
from inspector.domains.cgroups.limits import THROTTLED, Limit, Limits, Table

NEAR: Final = 0.9
"""Shares from which a sentence is said."""
STALLED: Final = 0.1
WAITING: Final = 0.25
REFAULTS: Final = 4 << 20
"""Bytes a second that are read again shortly after they had been dropped."""
DYING: Final = 100
_PAGE: Final = 4096
_RESOURCES: Final = {
    "cpu": "waits for a processor",
    "memory": "stalls for memory",
    "io": "io stalls",
}


def verdicts(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> tuple[str, ...]:
    """Return what is wrong, the worst kind first; empty where nothing is.

    `groups` are those of one container over all hierarchies, or one alone; `limits` what binds them.
    """
    return (
        *_kills(table, groups),
        *_throttling(table, groups),
        *_memory(table, groups, limits),
        *_pids(table, groups, limits),
        *_pressure(groups),
        *_rest(table, groups),
    )


def _kills(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[str]:
    for group in groups:
        if group.memory is None or not group.memory.oom_kills:
            continue
        total = group.memory.oom_kills
        new = _grown(table, group, "oom_kill")
        times = _times(total, "process", "processes")
        lately = f", {new} of them since the sample before" if new else ""
        yield f"the kernel killed {times} for want of memory so far{lately}"
        where = dead_leaf(table, group)
        if new and where:
            yield f"of these, {where[0]} in a cgroup below that is gone: {where[1]}"


def dead_leaf(table: Table, group: raw.Cgroup) -> tuple[int, str] | None:
    """Return how many of the new kills no cgroup that is still there accounts for, and where they were.

    memory.events of version 2 counts what is below too, and keeps what a removed cgroup had counted.
    So what no child's grew by happened in one that is gone; unless it was in the cgroup itself, which
    can only be where it has processes.
    """
    grown = _grown(table, group, "oom_kill")
    if group.hierarchy or not grown or group.processes:
        return None
    gone = sorted(
        path
        for (hierarchy, path, inode) in table.before
        if not hierarchy and _parent(path) == group.path and not _there(table, path, inode)
    )
    known = sum(
        _grown(table, one, "oom_kill") or _since_birth(table, one)
        for (hierarchy, path), one in table.current.items()
        if not hierarchy and _parent(path) == group.path and path != group.path
    )
    if not gone or grown <= known:
        return None
    return grown - known, " or ".join(gone[:3])


def _there(table: Table, path: str, inode: int) -> bool:
    now = table.current.get(("", path))
    return now is not None and now.inode == inode


def _throttling(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[str]:
    """Say who is held back by a quota: its own, or one above that counts for all below it."""
    if not table.held:
        return
    told: set[str] = set()
    for own in groups:
        for group in table.chain(own):
            ratio = table.throttled.get((group.hierarchy, group.path), 0.0)
            if ratio < THROTTLED or group.path in told:
                continue
            told.add(group.path)
            file = _file(group, "cpu.max", "cpu.cfs_quota_us")
            yield (
                f"throttled {units.percent(ratio)} of periods by {file} of {group.path}{_quota(group)}"
            )


def _memory(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Iterator[str]:
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
            yield f"memory at {units.percent(share)} of {_set(limits.memory, file)}"
    if limits.high is not None and used is not None and used >= limits.high.value:
        yield (
            f"memory is above {_set(limits.high, 'memory.high')}: it is slowed, and its pages are taken"
        )
    hits = _grown(table, group, "failcnt" if group.hierarchy else "max")
    if hits:
        yield f"it hit a memory limit {_times(hits, 'time', 'times')} since the sample before"
    if limits.swap is not None and limits.swap.value and said.swap_bytes:
        share = said.swap_bytes / limits.swap.value
        if share >= NEAR:
            yield f"swap at {units.percent(share)} of {_set(limits.swap, 'memory.swap.max')}"
    yield from _refaults(table, group)


def _refaults(table: Table, group: raw.Cgroup) -> Iterator[str]:
    before = table.previous(group)
    if table.seconds is None or before is None or before.memory is None or group.memory is None:
        return
    keys = ("workingset_refault_anon", "workingset_refault_file", "workingset_refault")
    pages = sum(
        max(0, group.memory.stat.get(key, 0) - before.memory.stat.get(key, 0)) for key in keys
    )
    size = pages * _PAGE / table.seconds
    if size >= REFAULTS:
        yield f"reads {units.size(size)}/s again that it had just dropped: too little memory for its files"


def _pids(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Iterator[str]:
    group = next((one for one in groups if one.pids), None)
    if group is None or group.pids is None:
        return
    depth = table.depth(group)
    refused = (depth.pids_events or {}).get("max", 0) if depth is not None else 0
    if limits.pids is None or group.pids.current is None or not limits.pids.value:
        return
    share = group.pids.current / limits.pids.value
    if share >= NEAR:
        yield (
            f"{group.pids.current} tasks of {limits.pids.value:.0f} that pids.max of "
            f"{limits.pids.path} allows"
            + (f"; {_times(refused, 'fork was', 'forks were')} refused so far" if refused else "")
        )


def _pressure(groups: Sequence[raw.Cgroup]) -> Iterator[str]:
    felt = next((one.pressure for one in groups if one.pressure), None) or {}
    for resource, words in _RESOURCES.items():
        lines = felt.get(resource)
        some = lines.some.avg10 / 100 if lines and lines.some else 0.0
        full = lines.full.avg10 / 100 if lines and lines.full else 0.0
        if some >= (WAITING if resource == "cpu" else STALLED):
            all_of_it = f", all of it {units.percent(full)}" if full >= 0.01 else ""
            yield f"{words} {units.percent(some)} of the time{all_of_it}"


def _rest(table: Table, groups: Sequence[raw.Cgroup]) -> Iterator[str]:
    for group in groups:
        depth = table.depth(group)
        if depth is None:
            continue
        if depth.dying_descendants and depth.dying_descendants >= DYING:
            yield (
                f"{depth.dying_descendants} removed cgroups below {group.path} are still kept: "
                "something is charged to them"
            )
        for size, pages in depth.hugetlb.items():
            if pages.failures:
                times = _times(pages.failures, "time", "times")
                yield f"huge pages of {size} were refused {times} by the limit of {group.path}"


def _grown(table: Table, group: raw.Cgroup, event: str) -> int:
    before = table.previous(group)
    if before is None or before.memory is None or group.memory is None:
        return 0
    return max(0, group.memory.events.get(event, 0) - before.memory.events.get(event, 0))


def _since_birth(table: Table, group: raw.Cgroup) -> int:
    """Return the kills of a cgroup that was not there in the sample before."""
    if table.previous(group) is not None or group.memory is None:
        return 0
    return group.memory.oom_kills or 0


def _quota(group: raw.Cgroup) -> str:
    if group.cpu is None or group.cpu.quota_usec is None or not group.cpu.period_usec:
        return ""
    cores = group.cpu.quota_usec / group.cpu.period_usec
    return f": {cores:.3g} {'core' if cores == 1 else 'cores'}"


def _file(group: raw.Cgroup, version2: str, version1: str) -> str:
    return version1 if group.hierarchy else version2


def _set(limit: Limit, file: str) -> str:
    return f"{units.size(limit.value)} set by {file} of {limit.path}"


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _times(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
