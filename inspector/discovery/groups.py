"""Groups processes into containers by pid and mount namespaces and by the names of cgroups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from collectors.kernel.processes import Process
from inspector.discovery import ancestry, cgroup_names
from inspector.discovery.cgroup_names import Label
from inspector.discovery.world import ENDED, MNT, PID, Inodes, World

Kind = Literal["cgroup", "pid", "sandbox", "self"]
_UNSAID: Final = Label("", None, "")
"""Stands for what was not looked up yet."""


@dataclass(slots=True, eq=False)
class Group:
    """The processes of one container; built up here, read elsewhere."""

    init: Process
    kind: Kind
    """What it was found by."""
    label: Label | None = None
    pids: set[int] = field(default_factory=set[int])
    parent: "Group | None" = None


@dataclass(frozen=True, slots=True)
class Found:
    """Every container with a process, and whose each process is."""

    groups: tuple[Group, ...]
    owner: Mapping[int, Group]


def find(world: World) -> Found:
    """Return the containers, outer ones before those within them where both began at once."""
    search = _Search(world)
    search.labelled()
    search.pid_namespaces()
    search.sandboxes()
    search.assign()
    groups = [group for group in search.groups if group.pids]
    for group in groups:
        group.parent = search.outer(group)
    groups.sort(key=lambda group: (group.init.start_ticks, group.init.pid))
    return Found(tuple(groups), search.owner)


class _Search:
    """One pass over the processes; each step sees what the one before it has found."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.groups: list[Group] = []
        self.owner: dict[int, Group] = {}
        self._labels: dict[int, Label] = {}
        self._by_label: dict[str, Group] = {}
        self._by_pid_namespace: dict[int, list[Group]] = {}
        self._by_mount_namespace: dict[int, Group] = {}
        self._by_sandbox: dict[Inodes, Group] = {}
        self._user = [p for p in world.processes.values() if not p.kernel_thread]
        # Thousands of processes share a few tuples: what these say is found out once, by `id()`.
        self._apart: dict[int, bool] = {}
        self._keys: dict[int, Inodes | None] = {}
        self._owners: dict[tuple[int, int], Group | None] = {}

    def labelled(self) -> None:
        """Find those whose cgroup an engine named."""
        by_label: dict[str, list[Process]] = {}
        said: dict[int, Label | None] = {}
        for process in self._user:
            entries = process.cgroups
            label = said.get(id(entries), _UNSAID)
            if label is _UNSAID:
                label = said[id(entries)] = cgroup_names.label(entries)
            if label is not None:
                self._labels[process.pid] = label
                if process.state not in ENDED and self._isolated(process.pid):
                    by_label.setdefault(label.id, []).append(process)
        for name, members in by_label.items():
            init = min(members, key=outermost)
            group = Group(init, "cgroup", self._labels[init.pid])
            self._by_label[name] = group
            self._add(group)

    def pid_namespaces(self) -> None:
        """Find those whose pid namespace is not the host's, and no engine's cgroup claims."""
        by_namespace: dict[int, list[Process]] = {}
        for process in self._user:
            inodes = self.world.members.get(process.pid)
            inode = inodes[PID] if inodes else None
            if inode is not None and inode != self.world.host[PID]:
                by_namespace.setdefault(inode, []).append(process)
        for inode, members in by_namespace.items():
            if inode not in self._by_pid_namespace:
                self._add(Group(min(members, key=outermost), "pid"))
        if self.world.inside and 1 in self.world.processes:
            self._itself(self.world.processes[1])

    def _itself(self, first: Process) -> None:
        """Add the container that this runs in, or mark it when its cgroup has named it already."""
        for group in self.groups:
            if group.init is first:
                group.kind = "self"
                return
        self.groups.append(Group(first, "self"))

    def sandboxes(self) -> None:
        """Find those that share the pid namespace around them and have other ones of their own."""
        by_key: dict[Inodes, list[Process]] = {}
        for process in self._user:
            key = self._sandbox_key(process)
            if key is not None:
                by_key.setdefault(key, []).append(process)
        for key, members in by_key.items():
            pids = {process.pid for process in members}
            tops = [process for process in members if process.ppid not in pids]
            top = min(tops or members, key=outermost)
            if (
                not self._is_service(top)
                and not ancestry.is_helper(top)
                and not self._waits(members)
            ):
                group = Group(top, "sandbox")
                self._by_sandbox[key] = group
                self.groups.append(group)

    def assign(self) -> None:
        """Give each process to the innermost container it is in."""
        for process in self._user:
            group = self._owner(process)
            if group is not None:
                self._take(process.pid, group)
        # A zombie has no namespaces any more: it is its parent's.
        for process in self._user:
            if process.pid not in self.owner and process.pid not in self.world.members:
                parent = self.owner.get(process.ppid)
                if parent is not None and process.state in ENDED:
                    self._take(process.pid, parent)
        everything = next((group for group in self.groups if group.kind == "self"), None)
        if everything is not None:
            for process in self._user:
                if process.pid not in self.owner:
                    self._take(process.pid, everything)

    def outer(self, group: Group) -> Group | None:
        """Return the container that a container is in."""
        inodes = self.world.members.get(group.init.pid)
        inode = inodes[PID] if inodes else None
        seen: set[int] = set()
        while inode is not None and inode not in seen:
            seen.add(inode)
            space = self.world.namespaces.get(inode)
            inode = space.parent if space else None
            for candidate in self._by_pid_namespace.get(inode or 0, ()):
                if candidate is not group and candidate.pids:
                    return candidate
        return self._outer_by_parents(group)

    def _outer_by_parents(self, group: Group) -> Group | None:
        process: Process | None = group.init
        for _ in range(64):
            process = self.world.processes.get(process.ppid) if process else None
            if process is None:
                return None
            owner = self.owner.get(process.pid)
            if owner is not None and owner is not group:
                return owner
        return None

    def _owner(self, process: Process) -> Group | None:
        inodes = self.world.members.get(process.pid)
        label = self._labels.get(process.pid)
        if inodes is None:
            return self._by_label.get(label.id) if label else None
        key = (id(inodes), id(label))
        if key not in self._owners:
            self._owners[key] = self._innermost(process, inodes, label)
        return self._owners[key]

    def _innermost(self, process: Process, inodes: Inodes, label: Label | None) -> Group | None:
        named = self._by_label.get(label.id) if label else None
        if named is not None and self._isolated(process.pid):
            home = self.world.members.get(named.init.pid)
            if home is None or inodes[PID] in {None, home[PID], self.world.host[PID]}:
                return named
        sandbox = self._by_sandbox.get(self._sandbox_key(process) or ())
        if sandbox is not None:
            return sandbox
        return self._within(inodes)

    def _within(self, inodes: Inodes) -> Group | None:
        """Return the container whose namespaces these are, as those of a process that entered it."""
        candidates = self._by_pid_namespace.get(inodes[PID] or 0, ())
        by_mounts = self._by_mount_namespace.get(inodes[MNT] or 0)
        if by_mounts is not None and (not candidates or by_mounts in candidates):
            return by_mounts
        return candidates[0] if candidates else None

    def _sandbox_key(self, process: Process) -> Inodes | None:
        """Return what a sandbox's processes have in common; None for a process in none."""
        inodes = self.world.members.get(process.pid)
        if inodes is None or process.pid in self._labels:
            return None
        if id(inodes) not in self._keys:
            self._keys[id(inodes)] = self._key_of(inodes)
        return self._keys[id(inodes)]

    def _key_of(self, inodes: Inodes) -> Inodes | None:
        homes = self._by_pid_namespace.get(inodes[PID] or 0, ())
        base = self.world.members.get(homes[0].init.pid) if homes else self.world.host
        differing = self.world.differing(inodes, base)
        if inodes[MNT] in self._by_mount_namespace:
            return None
        if "mnt" in differing:
            return (inodes[PID], inodes[MNT])
        return inodes if len(differing) > 1 else None

    def _waits(self, members: list[Process]) -> bool:
        """Return whether it is only a tool that made a container, entered a part of it, and waits."""
        inits = {group.init.ppid for group in self.groups if group.kind != "sandbox"}
        return all(ancestry.is_tool(process) and process.pid in inits for process in members)

    def _is_service(self, top: Process) -> bool:
        """Return whether systemd gave the namespaces: PrivateTmp=, PrivateNetwork= and the like.

        Then its first process has them from the start. What a service's process makes later for a
        child, which stays in the same cgroup, is a sandbox.
        """
        paths = [entry.path for entry in top.cgroups]
        if not any(cgroup_names.service(path) for path in paths):
            return False
        parent = self.world.processes.get(top.ppid)
        return parent is None or [entry.path for entry in parent.cgroups] != paths

    def _isolated(self, pid: int) -> bool:
        """Return whether it has a namespace that decides; monitors in a container's cgroup do not."""
        inodes = self.world.members.get(pid)
        if inodes is None or self.world.inside:
            return True
        apart = self._apart.get(id(inodes))
        if apart is None:
            differing = self.world.differing(inodes)
            apart = bool({"mnt", "pid"} & set(differing)) or len(differing) > 1
            self._apart[id(inodes)] = apart
        return apart

    def _add(self, group: Group) -> None:
        self.groups.append(group)
        inodes = self.world.members.get(group.init.pid)
        if inodes is None:
            return
        if inodes[PID] is not None and inodes[PID] != self.world.host[PID]:
            claimed = self._by_pid_namespace.setdefault(inodes[PID] or 0, [])
            claimed.append(group)
            claimed.sort(key=lambda other: outermost(other.init))
        if inodes[MNT] is not None and inodes[MNT] != self.world.host[MNT]:
            self._by_mount_namespace.setdefault(inodes[MNT] or 0, group)

    def _take(self, pid: int, group: Group) -> None:
        self.owner[pid] = group
        group.pids.add(pid)


def outermost(process: Process) -> tuple[int, bool, int, int]:
    """Order by depth, then process 1 of its namespace, then age: a container begins with the least."""
    numbers = process.namespace_pids
    return len(numbers), numbers[-1] != 1, process.start_ticks, process.pid


def with_inner(groups: Iterable[Group]) -> dict[int, set[int]]:
    """Return the pids of each container and of every one within it, by the group's `id()`."""
    listed = list(groups)
    pids = {id(group): set(group.pids) for group in listed}
    for group in listed:
        outer, seen = group.parent, {id(group)}
        while outer is not None and id(outer) not in seen:
            seen.add(id(outer))
            pids[id(outer)] |= group.pids
            outer = outer.parent
    return pids
