"""What a container uses and may use: from its own cgroups, or else summed over its processes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from msgspec import structs

from collectors.kernel import processes
from collectors.kernel.cgroups import Cgroup
from collectors.kernel.network import NamespaceNetwork
from collectors.kernel.processes import Process
from inspector.discovery.groups import Group
from inspector.discovery.world import NET, Inodes
from inspector.domains.cgroups import derive, still, verdicts
from inspector.domains.cgroups.limits import Key, Limits, Table
from inspector.domains.cgroups.model import Cpu, Finding, Memory, Pids
from inspector.domains.containers.model import Measure, Resources
from inspector.domains.network import derive as network
from inspector.domains.network.model import NetworkUsage
from inspector.join import Entity, Joined
from inspector.memos import Memos
from inspector.placement import Placement, hierarchy
from inspector.sample import Sample, elapsed


@dataclass(frozen=True, slots=True)
class Meter:
    """Two samples, indexed for every container's resources."""

    joined: Joined
    table: Table
    previous: Sample | None
    earlier: Mapping[int, Process]
    """The processes of the sample before, by pid."""
    networks: Mapping[int, NamespaceNetwork]
    earlier_networks: Mapping[int, NamespaceNetwork]
    network_seconds: float | None
    moved: Collection[Key] | None
    """The cgroups that may not be what they were in the frame before; None: any."""
    rebound: set[Key] | None
    """Those whose limits may be others; None: any."""


def meter(joined: Joined, table: Table, previous: Sample | None, memos: Memos) -> Meter:
    """Index the sample before."""
    uses = memos.one(_Uses)
    following = uses.frame == memos.frame - 1 and uses.roots == table.roots
    uses.before, uses.kept = uses.kept if following else {}, {}
    uses.frame, uses.roots = memos.frame, table.roots
    return Meter(
        joined=joined,
        table=table,
        previous=previous,
        earlier=joined.earlier(previous),
        networks=network.by_namespace(joined.sample),
        earlier_networks=network.by_namespace(previous),
        network_seconds=network.seconds(previous, joined.sample),
        moved=still.unsettled(memos),
        rebound=still.rebound(memos),
    )


class Used(NamedTuple):
    """What a running container uses, and what is wrong with that."""

    resources: Resources
    findings: tuple[Finding, ...]
    paused: bool = False
    """Whether the kernel holds its own cgroup, or the one of its first process, frozen."""


class _Kept(NamedTuple):
    """What a container used in the frame before, and what that is made from."""

    init: Process
    keys: frozenset[Key]
    """Every cgroup that numbers of it may come from; limits come from `placed` too."""
    place: Placement
    placed: tuple[Key, ...]
    """Its cgroups, whether they hold nobody else or not, and whether they are there."""
    own: tuple[Key, ...]
    abouts: tuple[object, ...]
    """Of `own`."""
    bound: tuple[Limits | None, ...]
    """Of `placed`."""
    summed: tuple[object, ...]
    network: NetworkUsage | None
    counted: bool
    used: Used


class _Uses:
    """Those of every container."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self.before: dict[str, _Kept] = {}
        self.frame = 0
        self.roots: Mapping[str, str] = {}


def resources(meter: Meter, entity: Entity, place: Placement, memos: Memos) -> Used:
    """Return a running container's resources, and the verdicts on them.

    Limits are those of all cgroups that it is in, its own or not; numbers only of those that hold
    nobody else. What no such cgroup counts is the sum over its processes, and `measured_by` says so.
    """
    group = entity.group
    if group is None:
        raise AssertionError("only a container with processes uses anything")
    uses = memos.one(_Uses)
    kept = uses.before.get(entity.id)
    network = _network(meter, group, meter.joined.spaces(entity), memos)
    if kept is None or not _untouched(meter, group, place, network, kept):
        now = _same(meter, group, place, network, kept) or _anew(meter, group, place, network)
        paused = frozen(meter, group, place)
        if now.used.paused != paused:
            now = now._replace(used=now.used._replace(paused=paused))
        kept = now
    uses.kept[entity.id] = kept
    return kept.used


def _untouched(
    meter: Meter, group: Group, place: Placement, network: NetworkUsage | None, kept: _Kept
) -> bool:
    """Return whether nothing that it is made from can have changed: then it need not be compared."""
    if (
        meter.moved is None
        or meter.rebound is None
        or kept.init is not group.init
        or kept.network is not network
    ):
        return False
    if kept.place is not place or not kept.keys.isdisjoint(meter.moved):
        return False
    if meter.rebound and not meter.rebound.isdisjoint(kept.placed):
        return False
    return kept.counted or _resting(meter, group) == kept.summed


def _same(
    meter: Meter, group: Group, place: Placement, network: NetworkUsage | None, kept: _Kept | None
) -> _Kept | None:
    """Return what is kept, with the pressure of now, where all else is as it was; else None."""
    if kept is None or kept.init is not group.init or kept.network is not network:
        return None
    if kept.place is not place and kept.place != place:
        return None
    table = meter.table
    abouts = _abouts(table, kept.own)
    if None in abouts or abouts != kept.abouts or _bound(table, kept.placed) != kept.bound:
        return None
    if not kept.counted:
        summed = _resting(meter, group)
        if summed is None or summed != kept.summed:
            return None
    own = [table.current[key] for key in kept.own]
    pressure = derive.pressure(table, own)
    if pressure is kept.used.resources.pressure:
        return kept if kept.place is place else kept._replace(place=place)
    changed = structs.replace(kept.used.resources, pressure=pressure)
    return kept._replace(place=place, used=kept.used._replace(resources=changed))


def _abouts(table: Table, keys: Iterable[Key]) -> tuple[tuple[object, ...] | None, ...]:
    """Return what each is made from; None while it changes, or where it is not there."""
    groups = [table.current.get(key) for key in keys]
    return tuple([None if one is None else still.about(table, one) for one in groups])


def _bound(table: Table, keys: Iterable[Key]) -> tuple[Limits | None, ...]:
    """Return what binds each; None where it is not there."""
    groups = [table.current.get(key) for key in keys]
    return tuple([None if one is None else table.limits_of(one) for one in groups])


def _anew(meter: Meter, group: Group, place: Placement, network: NetworkUsage | None) -> _Kept:
    table = meter.table
    placed = {name: table.find(name, path) for name, path in place.paths.items()}
    there = [found for found in placed.values() if found is not None]
    limits = table.limits(there)
    own = [
        found for name, found in sorted(placed.items()) if found is not None and name in place.own
    ]
    made = _resources(meter, group, own, limits, network)
    counted = set(made.measured_by.values()) == {"cgroup"}
    keys = tuple((name, table.local(name, path)) for name, path in place.paths.items())
    mine = tuple((one.hierarchy, one.path) for one in own)
    summed = None if counted else _resting(meter, group)
    inside = [
        (name, table.local(name, path))
        for name in place.own
        for path in (place.paths[name], _inner(group, name))
        if path is not None
    ]
    return _Kept(
        init=group.init,
        keys=frozenset(inside),
        place=place,
        placed=keys,
        own=mine,
        abouts=_abouts(table, mine),
        bound=_bound(table, keys),
        summed=summed or (),
        network=network,
        counted=counted,
        used=Used(made, verdicts.findings(table, own, limits)),
    )


def _resting(meter: Meter, group: Group) -> tuple[object, ...] | None:
    """Return what sums over its processes are made from; None where any has changed since."""
    members = _members(meter, group)
    if any(meter.earlier.get(one.pid) is not one for one in members):
        return None
    return (*members, _seconds(meter) is None)


def _seconds(meter: Meter) -> float | None:
    return elapsed(meter.previous, meter.joined.sample, processes.KEY)


def _resources(
    meter: Meter,
    group: Group,
    own: Sequence[Cgroup],
    limits: Limits,
    network: NetworkUsage | None,
) -> Resources:
    measured: dict[str, Measure] = {}
    cpu = derive.cpu(meter.table, own, limits) if own else None
    measured["cpu"] = "cgroup"
    if cpu is None or cpu.usage_usec is None:
        cpu, measured["cpu"] = _cpu(meter, group, limits), "processes"
    memory = derive.memory(meter.table, own, limits)
    measured["memory"] = "cgroup"
    if memory is None or memory.current_bytes is None:
        memory, measured["memory"] = _memory(meter, group, limits), "processes"
    pids = derive.pids(meter.table, own, limits)
    measured["pids"] = "cgroup"
    if pids is None or pids.current is None:
        pids, measured["pids"] = _pids(meter, group, limits), "processes"
    return Resources(
        cpu=cpu,
        memory=memory,
        io=derive.io(meter.table, own),
        pids=pids,
        pressure=derive.pressure(meter.table, own),
        network=network,
        measured_by=measured,
    )


def frozen(meter: Meter, group: Group, place: Placement) -> bool:
    """Return whether the kernel holds its own cgroup, or the one of its first process, frozen."""
    for name in place.own:
        for path in {place.paths[name], _inner(group, name)}:
            found = meter.table.find(name, path) if path is not None else None
            if found is not None and found.frozen:
                return True
    return False


def _inner(group: Group, name: str) -> str | None:
    """Return which cgroup of a hierarchy its first process is in."""
    return next((one.path for one in group.init.cgroups if hierarchy(one) == name), None)


def _members(meter: Meter, group: Group) -> list[Process]:
    listed = meter.joined.world.processes
    return [listed[pid] for pid in group.pids if pid in listed]


def _cpu(meter: Meter, group: Group, limits: Limits) -> Cpu | None:
    """Sum over its processes; what those that ended had used is not in it any more."""
    reading = meter.joined.sample.get(processes.KEY)
    members = _members(meter, group)
    if reading is None or not members:
        return None
    usec = 1_000_000 // reading.ticks_per_second
    user = sum(process.utime_ticks for process in members) * usec
    system = sum(process.stime_ticks for process in members) * usec
    return Cpu(
        usage_usec=user + system,
        user_usec=user,
        system_usec=system,
        busy_cores=_busy(meter, members, reading.ticks_per_second),
        limit_cores=limits.cores.value if limits.cores else None,
        limited_by=limits.cores.path if limits.cores else None,
        shares=None,
        weight=None,
        cpuset=None,
        periods=None,
        throttled_periods=None,
        throttled_usec=None,
        throttled_ratio=None,
    )


def _busy(meter: Meter, members: list[Process], ticks_per_second: int) -> float | None:
    seconds = _seconds(meter)
    if seconds is None:
        return None
    ticks = 0
    for process in members:
        before = meter.earlier.get(process.pid)
        if before is not None and before.start_ticks != process.start_ticks:
            before = None
        used = process.utime_ticks + process.stime_ticks
        # One that was not there before has used all of it since.
        ticks += max(0, used - (before.utime_ticks + before.stime_ticks if before else 0))
    return ticks / ticks_per_second / seconds


def _memory(meter: Meter, group: Group, limits: Limits) -> Memory | None:
    """Sum the resident sizes: a page that several processes share counts several times."""
    members = _members(meter, group)
    if not members:
        return None
    return Memory(
        current_bytes=sum(process.rss_bytes for process in members),
        working_set_bytes=None,
        anon_bytes=None,
        file_bytes=None,
        kernel_bytes=None,
        swap_bytes=None,
        peak_bytes=None,
        limit_bytes=int(limits.memory.value) if limits.memory else None,
        limited_by=limits.memory.path if limits.memory else None,
        oom_kills=None,
        events={},
    )


def _pids(meter: Meter, group: Group, limits: Limits) -> Pids | None:
    members = _members(meter, group)
    if not members:
        return None
    return Pids(
        current=sum(process.threads for process in members),
        limit=int(limits.pids.value) if limits.pids else None,
        limited_by=limits.pids.path if limits.pids else None,
    )


def _network(
    meter: Meter, group: Group, inodes: Inodes | None, memos: Memos
) -> NetworkUsage | None:
    own = inodes[NET] if inodes else None
    if own is None or (own == meter.joined.world.host[NET] and group.kind != "self"):
        return None
    space = meter.networks.get(own)
    if space is None:
        return None
    earlier, seconds = meter.earlier_networks.get(own), meter.network_seconds
    if earlier is None or earlier.interfaces != space.interfaces:
        return network.usage(earlier, space, seconds)
    # What stands still grows by 0 a second however long that takes.
    inputs = (space.interfaces, seconds is None)
    usage = memos.memo("network usage", NetworkUsage)
    return usage.of(own, inputs, partial(network.usage, earlier, space, seconds))
