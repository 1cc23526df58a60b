"""Joins what the kernel shows with what engines say: every container, and whose each process is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.engine import EngineContainer
from collectors.kernel import host, mounts, namespaces, processes
from collectors.kernel.processes import Process
from inspector import succession
from inspector.discovery import ancestry, claims, groups, naming, roles, world
from inspector.discovery.ancestry import Supervisor
from inspector.discovery.groups import Found, Group
from inspector.discovery.roles import Role
from inspector.discovery.standing import Roll, Standings
from inspector.discovery.world import Inodes, World
from inspector.memos import Memos
from inspector.sample import Sample

if TYPE_CHECKING:
    from collectors.kernel.namespaces import Membership


@dataclass(frozen=True, slots=True)
class Entity:
    """One container before its numbers: who it is, and how that was found out."""

    id: str
    name: str
    engine: str | None
    engine_namespace: str | None
    group: Group | None
    """None for one that only an engine lists: it is stopped, or not visible from here."""
    named: EngineContainer | None
    supervisor: Supervisor | None
    parent: str | None
    """Id of the container that it is in."""
    pod: str | None = None
    """`namespace/name` where an engine or a monitor tells it, else the pod's uid."""
    role: Role = "container"

    @property
    def init(self) -> Process | None:
        """Its first process."""
        return self.group.init if self.group else None


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """Who owns what: the same object from frame to frame while that is so."""

    world: World
    """Its processes' counters may be those of an earlier frame."""
    entities: tuple[Entity, ...]
    owners: Mapping[int, str]
    groups: tuple[Group, ...]
    shape: object
    """The same object also while only processes come and go, of which nothing else depends."""
    census: succession.Census
    change: succession.Turnover | None = None
    """Who came and went since the one before, if it has the same shape."""


class _Last:
    """The structure of the frame before, and what it was made from besides the processes."""

    def __init__(self) -> None:
        self.said: tuple[object, ...] = ()
        self.memberships: Sequence[Membership] = ()
        self.spaces: Mapping[int, Membership] = {}
        self.structure: Structure | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Who owns what, for the domains to derive from."""

    sample: Sample
    world: World
    entities: tuple[Entity, ...]
    owners: Mapping[int, str]
    """From every pid that is in one to a container's id."""
    groups: tuple[Group, ...]
    structure: Structure
    """What of this does not change with counters: the same object while it is so."""
    roll: Roll

    def earlier(self, previous: Sample | None) -> Mapping[int, Process]:
        """Return the processes of the sample before, by pid."""
        reading = previous.get(processes.KEY) if previous is not None else None
        if reading is None:
            return {}
        if self.roll.before is not None and self.roll.before.listed is reading.processes:
            return self.roll.before.newest
        return {one.pid: one for one in reading.processes}

    def spaces(self, entity: Entity) -> Inodes | None:
        """Return a container's namespaces: those of its first process."""
        return self.world.members.get(entity.group.init.pid) if entity.group else None

    def clock(self) -> tuple[float, int] | None:
        """Return when the host began, in seconds since 1970, and its ticks a second; None: unknown."""
        booted = self.sample.get(host.KEY)
        ticks = self.sample.get(processes.KEY)
        if booted is None or ticks is None:
            return None
        return booted.booted_at, ticks.ticks_per_second

    def started_at(self, process: Process) -> datetime | None:
        """Return when a process began, from its ticks after boot; None where boot time is unknown."""
        clock = self.clock()
        if clock is None:
            return None
        return datetime.fromtimestamp(clock[0] + process.start_ticks / clock[1], UTC)


def join(sample: Sample, memos: Memos | None = None) -> Joined:
    """Find the containers, name them, and tell whose each process is."""
    memos = memos or Memos()
    read = sample.get(processes.KEY)
    roll = memos.one(Standings).of(read.processes if read else ())
    structure = _structured(sample, roll, memos)
    return Joined(
        sample=sample,
        world=replace(structure.world, processes=roll.newest),
        entities=structure.entities,
        owners=structure.owners,
        groups=structure.groups,
        structure=structure,
        roll=roll,
    )


def _said(sample: Sample) -> tuple[object, ...]:
    """Return all that the structure is made from besides the processes and their namespaces."""
    read = sample.get(processes.KEY)
    spaces = sample.get(namespaces.KEY)
    mounted = sample.get(mounts.KEY)
    return (
        read.own_pid if read else None,
        (spaces.namespaces, spaces.own, spaces.init) if spaces else None,
        mounted.namespaces if mounted else None,
        [answer.reading.containers for answer in sample.engines if answer.reading is not None],
        host_name(sample),
    )


def _structured(sample: Sample, roll: Roll, memos: Memos) -> Structure:
    """Return the one of the frame before while that is so, or as it follows from it, or a new one."""
    spaces = sample.get(namespaces.KEY)
    last, said = memos.one(_Last), _said(sample)
    memberships = spaces.memberships if spaces else ()
    if last.memberships != memberships:
        last.memberships, last.spaces = memberships, {one.pid: one for one in memberships}
    census = succession.Census(roll.standing, last.spaces)
    before = last.structure
    made = None
    if before is not None and said == last.said:
        made = _followed(sample, before, census, roll)
    last.said = said
    last.structure = made or _structure(sample, census)
    return last.structure


def _followed(
    sample: Sample, before: Structure, census: succession.Census, roll: Roll
) -> Structure | None:
    change = succession.turnover(before.census, census, roll)
    if change is None:
        return None
    if not (change.born or change.gone):
        return before
    known = succession.Known(
        world=before.world,
        owners=before.owners,
        groups={one.id: one.group for one in before.entities if one.group},
        fixed=succession.fixed(
            (one.pid for one in _engines_containers(sample)),
            (one.supervisor.pid for one in before.entities if one.supervisor),
        ),
    )
    followed = succession.follow(known, census, change)
    if followed is None:
        return None
    return replace(before, world=followed[0], owners=followed[1], census=census, change=change)


def _engines_containers(sample: Sample) -> Iterator[EngineContainer]:
    for answer in sample.engines:
        if answer.reading is not None:
            yield from answer.reading.containers


def _structure(sample: Sample, census: succession.Census) -> Structure:
    seen = world.build(sample, census.processes)
    found = groups.find(seen)
    named = naming.combine(_engines_containers(sample))
    entities = _entities(sample, seen, found, named)
    by_group = {id(entity.group): entity.id for entity in entities if entity.group}
    owners = {pid: by_group[id(group)] for pid, group in found.owner.items()}
    return Structure(
        world=seen,
        entities=entities,
        owners=_complete(seen, owners),
        groups=found.groups,
        shape=object(),
        census=census,
    )


def _complete(seen: World, owners: dict[int, str]) -> dict[int, str]:
    """Add processes that were not read in full: they are in the same namespaces as one that was."""
    if len(seen.processes) >= len(seen.members):
        return owners
    by_set: dict[Inodes, str] = {}
    for pid, owner in owners.items():
        inodes = seen.members.get(pid)
        if inodes is not None and inodes != seen.host:
            by_set.setdefault(inodes, owner)
    for pid, inodes in seen.members.items():
        if pid not in seen.processes and inodes in by_set:
            owners[pid] = by_set[inodes]
    return owners


def _entities(
    sample: Sample, seen: World, found: Found, named: list[EngineContainer]
) -> tuple[Entity, ...]:
    supervisors = {
        id(group): ancestry.supervisor(seen.processes, group.init, group.pids)
        for group in found.groups
    }
    left = claims.Unmatched(named, seen)
    drafts: list[tuple[Group | None, EngineContainer | None, Supervisor | None]] = []
    for group in found.groups:
        supervisor = supervisors[id(group)]
        match = left.take(group, supervisor)
        drafts.append((group, match, supervisor))
    # Engines list what is stopped; one that a second engine knows by another name is not repeated.
    drafts.extend((None, container, None) for container in left.rest())
    own = host_name(sample)
    identities = [_identity(seen, *draft, own=own) for draft in drafts]
    ids = naming.unique([(name, namespace) for name, _, _, namespace in identities])
    by_group = {id(group): name for (group, _, _), name in zip(drafts, ids, strict=True) if group}
    return tuple(
        Entity(
            id=name,
            name=identity[1],
            engine=identity[2],
            engine_namespace=identity[3],
            group=group,
            named=match,
            supervisor=supervisor,
            parent=by_group.get(id(group.parent)) if group and group.parent else None,
            pod=_pod(group, match, supervisor),
            role=roles.role(seen, group, match, supervisor),
        )
        for (group, match, supervisor), identity, name in zip(drafts, identities, ids, strict=True)
    )


def host_name(sample: Sample) -> str | None:
    """Return the host's name, where it was read."""
    reading = sample.get(host.KEY)
    return reading.hostname if reading else None


def _identity(
    seen: World,
    group: Group | None,
    named: EngineContainer | None,
    supervisor: Supervisor | None,
    *,
    own: str | None,
) -> tuple[str, str, str | None, str | None]:
    """Return id, name, engine and engine namespace."""
    engine = _engine(seen, group, named, supervisor)
    namespace = (named.engine_namespace if named else None) or (
        supervisor.engine_namespace if supervisor else None
    )
    name = supervisor.name if supervisor else None
    if named is not None:
        return named.id, named.name or name or naming.short(named.id), engine, namespace
    if group is None:
        raise AssertionError("a container is known by the kernel or by an engine")
    if group.label is not None:
        name = name or group.label.name
        return group.label.id, name or naming.short(group.label.id), engine, namespace
    if supervisor is not None and supervisor.id:
        return supervisor.id, name or naming.short(supervisor.id), engine, namespace
    if group.kind == "self":
        return "self", own or "self", engine, namespace
    pid = group.init.pid
    if roles.is_cage(seen, group, supervisor):
        return f"sandbox-{pid}", f"sandbox of {group.init.comm}", engine, namespace
    tool = {"bubblewrap": "bwrap", "systemd-nspawn": "nspawn"}.get(
        engine or "", engine or "unshare"
    )
    return f"{tool}-{pid}", f"{tool}·{pid}", engine, namespace


def _pod(
    group: Group | None, named: EngineContainer | None, supervisor: Supervisor | None
) -> str | None:
    if named is not None and named.pod:
        return named.pod
    if supervisor is not None and supervisor.pod:
        return supervisor.pod
    return group.label.pod if group is not None and group.label is not None else None


def _engine(
    seen: World,
    group: Group | None,
    named: EngineContainer | None,
    supervisor: Supervisor | None,
) -> str | None:
    if named is not None and named.engine not in naming.RUNTIMES:
        return named.engine
    if group is not None and group.label is not None and group.label.engine is not None:
        return group.label.engine
    if supervisor is not None and supervisor.engine is not None:
        return supervisor.engine
    if group is not None and _is_bubblewrap(seen, group):
        return "bubblewrap"
    return named.engine if named is not None else None


def _is_bubblewrap(seen: World, group: Group) -> bool:
    """Return whether the root is bubblewrap's: `/newroot` of a tmpfs, which it pivots into."""
    inodes = seen.members.get(group.init.pid)
    root = seen.roots.get(inodes[world.MNT] or 0) if inodes else None
    return root is not None and root.fstype == "tmpfs" and root.root == "/newroot"
