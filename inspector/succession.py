"""Births and ends of processes that change nothing but who is in which container: the rest is taken over."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from collectors.kernel.namespaces import Membership
from collectors.kernel.processes import Process
from inspector.discovery import cgroup_names
from inspector.discovery.groups import Group, outermost
from inspector.discovery.standing import Roll
from inspector.discovery.world import ENDED, Inodes, World


@dataclass(frozen=True, slots=True)
class Census:
    """Who is there, by pid, and in which namespaces."""

    processes: Mapping[int, Process]
    """Without their counters: the same records while nothing else of them changes."""
    spaces: Mapping[int, Membership]


@dataclass(frozen=True, slots=True)
class Turnover:
    """Who came and who went between two."""

    since: Census
    born: tuple[Process, ...]
    gone: tuple[Process, ...]
    came: tuple[Membership, ...]
    left: tuple[Membership, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out of the processes of before."""

    world: World
    owners: Mapping[int, str]
    groups: Mapping[str, Group]
    """By the container's id."""
    fixed: Collection[int]
    """Pids that decide more than whose a process is: engines and supervisors go by them."""


def turnover(before: Census, now: Census, roll: Roll) -> Turnover | None:
    """Return who came and went; None where one that stayed is not what it was.

    `roll` has the processes of now, and may tell how they differ from those of before.
    """
    if roll.altered:
        return None
    if roll.before is not None and roll.before.standing is before.processes:
        born, gone = roll.born, roll.gone
    elif any(one is not before.processes.get(pid, one) for pid, one in now.processes.items()):
        return None
    else:
        born = [one for pid, one in now.processes.items() if pid not in before.processes]
        gone = [one for pid, one in before.processes.items() if pid not in now.processes]
    others: list[Membership] = []
    left: list[Membership] = []
    if now.spaces is not before.spaces:
        known = set(map(id, before.spaces.values()))
        others = [one for one in now.spaces.values() if id(one) not in known]
        left = [one for pid, one in before.spaces.items() if pid not in now.spaces]
    came = [one for one in others if before.spaces.get(one.pid) != one]
    if any(one.pid in before.spaces for one in came):
        return None
    if not {one.pid for one in came} <= {one.pid for one in born}:
        return None
    if not {one.pid for one in left} <= {one.pid for one in gone}:
        return None
    return Turnover(before, tuple(born), tuple(gone), tuple(came), tuple(left))


def follow(known: Known, now: Census, change: Turnover) -> tuple[World, Mapping[int, str]] | None:
    """Return the world and the owners of now; None where all is to be found out anew.

    Whose a process is follows from its namespaces and cgroups alone. So one that has those of an
    elder that stays belongs where that one does, and decides nothing: each container's first process
    is the outermost and eldest. One that ends decides nothing either where others stay in its
    cgroups, nobody descends from it, and no container begins with it.

    Sets of processes are put into the groups anew, those that were there are left as they are.
    """
    world = known.world
    if len(world.processes) < len(world.members):
        return None  # some were not read in full, and are somebody's by other rules
    likes = _Likes(known, now, change)
    members, owners = dict(world.members), dict(known.owners)
    moves: dict[str, tuple[set[int], set[int]]] = {}
    spaces = {one.pid: one for one in change.came}
    for process in change.born:
        said = spaces.get(process.pid)
        like = likes.elder(process, said)
        if like is None or said is None:
            return None
        members[process.pid] = said.inodes
        owner = known.owners.get(like)
        if owner is not None and not process.kernel_thread:
            owners[process.pid] = owner
            moves.setdefault(owner, (set(), set()))[0].add(process.pid)
    for process in change.gone:
        if not likes.may_end(process):
            return None
        members.pop(process.pid, None)
        owner = owners.pop(process.pid, None)
        if owner is not None:
            moves.setdefault(owner, (set(), set()))[1].add(process.pid)
    if len(now.processes) < len(members):
        return None
    for owner, (come, went) in moves.items():
        group = known.groups[owner]
        group.pids = (group.pids | come) - went
    return replace(world, processes=now.processes, members=members), owners


class _Likes:
    """Those who stay and are in the cgroups of one that came or went."""

    def __init__(self, known: Known, now: Census, change: Turnover) -> None:
        self._known = known
        self._parents = {one.ppid for one in now.processes.values()} if change.gone else set[int]()
        self._firsts = {group.init.pid for group in known.groups.values()}
        wanted = {id(one.cgroups) for one in (*change.born, *change.gone)}
        born = {one.pid for one in change.born}
        self._elders: dict[tuple[int, bool, Inodes], Process] = {}
        self._owned: set[tuple[int, str | None]] = set()
        together: dict[tuple[int, str | None, int], Inodes] = {}
        self._left = {one.pid: one for one in change.left}
        for process in now.processes.values():
            if id(process.cgroups) in wanted and process.pid not in born:
                self._take(process)
                member, owner = now.spaces.get(process.pid), known.owners.get(process.pid)
                if member is not None:
                    together[id(process.cgroups), owner, id(member.inodes)] = member.inodes
        self._inside = {
            (cgroups, owner, inode)
            for (cgroups, owner, _), inodes in together.items()
            for inode in inodes
        }

    def _take(self, process: Process) -> None:
        self._owned.add((id(process.cgroups), self._known.owners.get(process.pid)))
        inodes = self._known.world.members.get(process.pid)
        if inodes is None or process.state in ENDED:
            return
        key = (id(process.cgroups), process.kernel_thread, inodes)
        elder = self._elders.get(key)
        if elder is None or outermost(process) < outermost(elder):
            self._elders[key] = process

    def elder(self, process: Process, said: Membership | None) -> int | None:
        """Return one that stays, and belongs where this one does; None where that is not certain."""
        if said is None or said.start_ticks != process.start_ticks or not any(said.inodes):
            return None
        if process.state in ENDED or process.pid in self._known.fixed:
            return None
        key = (id(process.cgroups), process.kernel_thread, said.inodes)
        elder = self._elders.get(key)
        if elder is None or outermost(elder) > outermost(process):
            return None
        return elder.pid if self._plain(process, said.inodes, elder.pid) else None

    def may_end(self, process: Process) -> bool:
        """Return whether its end decides nothing."""
        pid = process.pid
        if pid in self._firsts or pid in self._parents or pid in self._known.fixed:
            return False
        owner = self._known.owners.get(pid)
        if (id(process.cgroups), owner) not in self._owned:
            return False
        left = self._left.get(pid)
        for inode in left.inodes if left is not None else ():
            if inode is not None and (id(process.cgroups), owner, inode) not in self._inside:
                return False
        inodes = self._known.world.members.get(pid)
        if inodes is None:
            return process.state in ENDED and (owner is None or self._is_plain(owner))
        return self._plain(process, inodes, pid)

    def _plain(self, process: Process, inodes: Inodes, like: int) -> bool:
        """Return whether no sandbox is told, or not told, by who else has such namespaces."""
        owner = self._known.owners.get(like)
        if owner is None:
            return process.kernel_thread or inodes == self._known.world.host
        first = self._known.world.members.get(self._known.groups[owner].init.pid)
        labelled = cgroup_names.label(process.cgroups) is not None
        return self._is_plain(owner) and (labelled or inodes == first)

    def _is_plain(self, owner: str) -> bool:
        return self._known.groups[owner].kind != "sandbox"


def fixed(engines: Iterable[int | None], supervisors: Iterable[int | None]) -> frozenset[int]:
    """Return the pids that engines and supervisors go by."""
    return frozenset(pid for pid in (*engines, *supervisors) if pid is not None)
