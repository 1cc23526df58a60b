"""Whose engine may name which container: a user's own daemon can say anything, about anybody's."""

from collections.abc import Iterable, Iterator

from collectors.engine import EngineContainer
from inspector.discovery import cgroup_names, naming
from inspector.discovery.ancestry import Supervisor
from inspector.discovery.groups import Group
from inspector.discovery.world import USER, World

_DEEPEST = 33
"""User namespaces within each other, as many as the kernel allows (user_namespaces(7))."""


class Unmatched:
    """The engines' records that no container with processes has been given yet."""

    def __init__(self, named: Iterable[EngineContainer], seen: World) -> None:
        self._seen = seen
        self._left = dict(enumerate(named))
        self._by_id: dict[str, list[int]] = {}
        self._by_pid: dict[int, int] = {}
        self._by_cgroup: dict[str, int] = {}
        for at, container in self._left.items():
            self._by_id.setdefault(container.id, []).append(at)
            if container.pid is not None:
                self._by_pid.setdefault(container.pid, at)
            # Without cgroups of their own many are in one: then the first process alone decides.
            if container.cgroup and container.cgroup != "/" and container.pid not in seen.processes:
                self._by_cgroup.setdefault(container.cgroup, at)

    def take(self, group: Group, supervisor: Supervisor | None) -> EngineContainer | None:
        """Return a container's record: by id, else by its processes, else by its cgroup."""
        for at in self._candidates(group, supervisor):
            record = self._left.get(at)
            if record is None or _contradicts(group, record):
                continue
            if may_name(self._seen, group.init.pid, record):
                return self._left.pop(at)
        return None

    def rest(self) -> Iterable[EngineContainer]:
        """Return those that were not taken."""
        return self._left.values()

    def _candidates(self, group: Group, supervisor: Supervisor | None) -> Iterator[int]:
        yield from self._by_name(group, supervisor)
        for pid in (group.init.pid, *sorted(group.pids)):
            if pid in self._by_pid:
                yield self._by_pid[pid]
        for entry in group.init.cgroups:
            path = cgroup_names.own_path(entry.path, group.label)
            if path in self._by_cgroup:
                yield self._by_cgroup[path]

    def _by_name(self, group: Group, supervisor: Supervisor | None) -> Iterator[int]:
        names = [group.label.id] if group.label else []
        # The shim's own id is the pod's, where the cgroup has another one drawn at random.
        if supervisor is not None and supervisor.id and not any(len(name) == 64 for name in names):
            names.append(supervisor.id)
        for name in names:
            for at in self._by_id.get(name, ()):
                # A name that a person chose may be there twice: the first process decides.
                if naming.is_random(name) or self._may_be(at, group, supervisor):
                    yield at
            if naming.is_random(name) and not self._by_id.get(name):
                yield from (
                    at for at, container in self._left.items() if naming.matches(name, container)
                )

    def _may_be(self, at: int, group: Group, supervisor: Supervisor | None) -> bool:
        """Return whether a record of the same name can be this container's."""
        record = self._left.get(at)
        if record is None:
            return False
        if record.pid is not None:
            return record.pid in group.pids
        engine = group.label.engine if group.label is not None else None
        engine = engine or (supervisor.engine if supervisor is not None else None)
        return engine in {None, record.engine} or record.engine in naming.RUNTIMES


def _contradicts(group: Group, record: EngineContainer) -> bool:
    """Return whether an engine says of a container's process what its cgroup's name denies.

    Who asks for a cgroup with an id drawn at random in its name has made that container: a record
    with another id is wrong about the process, however that came.
    """
    label = group.label
    if label is None or not naming.is_random(label.id) or naming.matches(label.id, record):
        return False
    return label.engine is not None or naming.is_random(record.id)


def may_name(seen: World, pid: int, record: EngineContainer) -> bool:
    """Return whether a record may be that of a container whose first process this is.

    Root's engine, and that of whoever asks, may name any. Another user's may name what runs in a user
    namespace of that user's or below one (user_namespaces(7): who made it owns it), or as that user.
    Where the kernel does not say who owns one, nobody is denied.
    """
    return record.said_by is None or _is_of(seen, pid, record.said_by)


def _is_of(seen: World, pid: int, uid: int) -> bool:
    process = seen.processes.get(pid)
    if process is not None and process.uid == uid:
        return True
    inodes = seen.members.get(pid)
    inode = inodes[USER] if inodes is not None else None
    for _ in range(_DEEPEST):
        space = seen.namespaces.get(inode) if inode is not None else None
        if space is None or space.owner_uid is None:
            return True
        if space.owner_uid == uid:
            return True
        if space.parent is None:
            return False
        inode = space.parent
    return False
