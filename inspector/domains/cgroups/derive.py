"""Numbers of cgroups from two samples: rates, shares, working set, binding limits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec import structs

from collectors.kernel import cgroups as raw
from inspector.domains.cgroups import depths, rates, still, verdicts
from inspector.domains.cgroups.limits import Key, Limits, Table
from inspector.domains.cgroups.model import (
    Cgroup,
    Cpu,
    Io,
    IoDevice,
    Memory,
    Pids,
    Pressure,
    PressureLine,
)
from inspector.memos import Memos
from inspector.sample import rate

T = TypeVar("T")


def derive(
    table: Table, owners: Mapping[tuple[str, str], str], memos: Memos | None = None
) -> tuple[Cgroup, ...]:
    """Return every cgroup; `owners` tells the container by hierarchy and path."""
    memos = memos or Memos()
    rows, moved = memos.one(_Rows), still.unsettled(memos)
    following = rows.frame == memos.frame - 1
    same, rows.frame, rows.owners = rows.owners is owners, memos.frame, owners
    if following and same and moved is not None and table.changed is not None:
        for key in filter(table.current.__contains__, moved):
            rows.kept[key] = _row(table, key, owners.get(key), rows.kept.get(key))
    else:
        before, settled = rows.kept, following and moved is not None
        rows.kept = {}
        for key in table.current:
            owner, kept = owners.get(key), before.get(key)
            if kept is None or not settled or key in (moved or ()) or kept.owner != owner:
                kept = _row(table, key, owner, kept)
            rows.kept[key] = kept
    return tuple([kept.row for kept in rows.kept.values()])


def _row(table: Table, key: Key, owner: str | None, kept: "_Row | None") -> "_Row":
    group = table.current[key]
    made_from, said = still.about(table, group), pressure(table, (group,))
    if kept is None or made_from is None or kept.owner != owner or kept.about != made_from:
        return _Row(made_from, owner, _cgroup(table, group, owner))
    if kept.row.pressure is not said:
        return _Row(made_from, owner, structs.replace(kept.row, pressure=said))
    return kept


class _Row(NamedTuple):
    """A row, and what all of it but the pressure is made from."""

    about: tuple[object, ...] | None
    owner: str | None
    row: Cgroup


class _Rows:
    """The rows of the frame before."""

    def __init__(self) -> None:
        self.kept: dict[Key, _Row] = {}
        self.owners: Mapping[Key, str] | None = None
        self.frame = 0


def cpu(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Cpu | None:
    """Return the processor's numbers of one cgroup, or of one container in several hierarchies.

    `busy_cores` is the change of usage_usec over the time between; `throttled_ratio` that of
    throttled periods over that of all periods, 0 when none has passed.
    """
    counting = [group for group in groups if group.cpu and group.cpu.usage_usec is not None]
    # Version 2 counts without a controller too, from when a process entered: after cpuacct's.
    counted = _first(group for group in (*filter(_of_version_1, counting), *counting))
    governed = _first(
        group
        for group in groups
        if group.cpu and (group.cpu.periods is not None or group.cpu.shares is not None)
    )
    if counted is None and governed is None:
        return None
    usage = counted.cpu if counted else None
    rule = (governed or counted or groups[0]).cpu
    before = table.previous(counted) if counted else None
    usage_before = before.cpu.usage_usec if before and before.cpu else None
    busy = rate(usage_before, usage.usage_usec if usage else None, table.seconds)
    cpuset = _first(group.cpuset_cpus for group in groups if group.cpuset_cpus)
    return Cpu(
        usage_usec=usage.usage_usec if usage else None,
        user_usec=usage.user_usec if usage else None,
        system_usec=usage.system_usec if usage else None,
        busy_cores=None if busy is None else busy / 1e6,
        limit_cores=limits.cores.value if limits.cores else None,
        limited_by=limits.cores.path if limits.cores else None,
        shares=rule.shares if rule else None,
        weight=rule.weight if rule else None,
        cpuset=cpuset,
        periods=rule.periods if rule else None,
        throttled_periods=rule.throttled_periods if rule else None,
        throttled_usec=rule.throttled_usec if rule else None,
        throttled_ratio=table.throttled.get((governed.hierarchy, governed.path))
        if governed
        else None,
        bursts=rule.bursts if rule else None,
        burst_usec=rule.burst_usec if rule else None,
        **rates.of_cpu(table, counted, governed),
        **depths.cpu(table, groups),
    )


def _of_version_1(group: raw.Cgroup) -> bool:
    return bool(group.hierarchy)


def memory(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Memory | None:
    """Return memory's numbers; None where no hierarchy counts it."""
    group = _first(group for group in groups if group.memory)
    said = group.memory if group is not None else None
    if group is None or said is None:
        return None
    before = table.previous(group)
    earlier: Mapping[str, int] = before.memory.stat if before and before.memory else {}
    working = said.current_bytes
    if working is not None and said.inactive_file_bytes is not None:
        working = max(0, working - said.inactive_file_bytes)
    return Memory(
        current_bytes=said.current_bytes,
        working_set_bytes=working,
        anon_bytes=said.anon_bytes,
        file_bytes=said.file_bytes,
        kernel_bytes=said.kernel_bytes,
        swap_bytes=said.swap_bytes,
        peak_bytes=said.peak_bytes,
        limit_bytes=int(limits.memory.value) if limits.memory else None,
        limited_by=limits.memory.path if limits.memory else None,
        oom_kills=said.oom_kills,
        events=said.events,
        high_bytes=int(limits.high.value) if limits.high else None,
        high_limited_by=limits.high.path if limits.high else None,
        swap_limit_bytes=int(limits.swap.value) if limits.swap else None,
        swap_limited_by=limits.swap.path if limits.swap else None,
        stat=depths.stat(said.stat),
        per_second=rates.of_stat(earlier, said.stat, table.seconds),
        **depths.memory(table, group),
    )


def io(table: Table, groups: Sequence[raw.Cgroup]) -> Io | None:
    """Return each device's numbers; a device that was not there before has no rate yet."""
    group = _first(group for group in groups if group.io is not None)
    if group is None or group.io is None:
        return None
    before = table.previous(group)
    earlier = {device.device: device for device in (before.io or ())} if before else {}
    return Io(
        tuple(
            IoDevice(
                device=device.device,
                name=table.device_names.get(device.device),
                read_bytes=device.read_bytes,
                write_bytes=device.write_bytes,
                read_ops=device.read_ops,
                write_ops=device.write_ops,
                read_bytes_per_second=rate(
                    then.read_bytes if then else None, device.read_bytes, table.seconds
                ),
                write_bytes_per_second=rate(
                    then.write_bytes if then else None, device.write_bytes, table.seconds
                ),
                read_ops_per_second=rate(
                    then.read_ops if then else None, device.read_ops, table.seconds
                ),
                write_ops_per_second=rate(
                    then.write_ops if then else None, device.write_ops, table.seconds
                ),
                discard_bytes=device.discard_bytes,
                discard_ops=device.discard_ops,
                cost=device.cost,
                **rates.of_device(then, device, table.seconds),
            )
            for device in sorted(group.io, key=lambda device: _numbers(device.device))
            for then in (earlier.get(device.device),)
        ),
        **depths.io(table, group),
    )


def pids(table: Table, groups: Sequence[raw.Cgroup], limits: Limits) -> Pids | None:
    """Return the number of tasks and the limit that binds; None where no hierarchy counts them."""
    group = _first(group for group in groups if group.pids)
    said = group.pids if group is not None else None
    if group is None or said is None:
        return None
    return Pids(
        current=said.current,
        limit=int(limits.pids.value) if limits.pids else None,
        limited_by=limits.pids.path if limits.pids else None,
        **depths.pids(table, group),
    )


def pressure(table: Table, groups: Sequence[raw.Cgroup]) -> Mapping[str, Pressure] | None:
    """Return pressure as shares from 0 to 1; only version 2 has it."""
    group = _first(group for group in groups if group.pressure)
    if group is None:
        return None
    key = (group.hierarchy, group.path)
    if key not in table.pressures:
        table.pressures[key] = _pressure(table, group)
    return table.pressures[key]


def _pressure(table: Table, group: raw.Cgroup) -> Mapping[str, Pressure]:
    before = table.previous(group)
    earlier = (before.pressure if before is not None else None) or {}
    seconds = table.seconds
    found: dict[str, Pressure] = {}
    for resource, lines in (group.pressure or {}).items():
        then = earlier.get(resource)
        found[resource] = Pressure(
            some=_line(lines.some, then.some if then else None, seconds),
            full=_line(lines.full, then.full if then else None, seconds),
        )
    return found


def _cgroup(table: Table, group: raw.Cgroup, owner: str | None) -> Cgroup:
    limits = table.limits((group,))
    groups = (group,)
    found = verdicts.findings(table, groups, limits)
    return Cgroup(
        path=group.path,
        hierarchy=group.hierarchy,
        inode=group.inode,
        controllers=group.controllers,
        populated=group.populated,
        frozen=group.frozen,
        processes=group.processes,
        container=owner,
        cpu=cpu(table, groups, limits),
        memory=memory(table, groups, limits),
        io=io(table, groups),
        pids=pids(table, groups, limits),
        pressure=pressure(table, groups),
        recreated=table.recreated(group),
        **depths.cgroup(table, group),
        verdicts=tuple(one.sentence for one in found),
        findings=found,
    )


def _line(
    line: raw.PressureLine | None, before: raw.PressureLine | None, seconds: float | None
) -> PressureLine | None:
    if line is None:
        return None
    return PressureLine(
        avg10=round(line.avg10 / 100, 6),
        avg60=round(line.avg60 / 100, 6),
        avg300=round(line.avg300 / 100, 6),
        total_usec=line.total_usec,
        ratio=rates.stalled(before, line, seconds),
    )


def _numbers(device: str) -> tuple[int, int, str]:
    major, _, minor = device.partition(":")
    return (
        int(major) if major.isdecimal() else 0,
        int(minor) if minor.isdecimal() else 0,
        device,
    )


def _first(found: Iterable[T]) -> T | None:
    return next(iter(found), None)
