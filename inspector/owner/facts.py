"""What is known of the host at one moment, indexed: what the resolvers look into. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import UNSET

from collectors.lookups import DescriptorFacts, OpenFiles, PathFacts
from inspector.domains.cgroups.model import Cgroup
from inspector.domains.containers.model import Container
from inspector.domains.mounts.model import Mount
from inspector.domains.namespaces.model import Namespace
from inspector.domains.network.model import Interface, NetworkNamespace
from inspector.domains.processes.model import Process
from inspector.frame import Frame
from inspector.owner.model import Owner


@dataclass(frozen=True)
class Facts:
    """A frame, and what was looked up beside it."""

    frame: Frame
    paths: Mapping[str, PathFacts] = field(default_factory=dict[str, PathFacts])
    descriptors: Mapping[tuple[int, int], DescriptorFacts] = field(
        default_factory=dict[tuple[int, int], DescriptorFacts]
    )
    open_files: OpenFiles | None = None
    listening: Mapping[int, int] = field(default_factory=dict[int, int])
    """Inodes of unix sockets that listen at a path, with that of the file there."""

    @property
    def containers(self) -> Sequence[Container]:
        """Every container."""
        return () if self.frame.containers is UNSET else self.frame.containers

    @property
    def interfaces(self) -> Sequence[Interface]:
        """Every network interface."""
        return () if self.frame.network is UNSET else self.frame.network

    @property
    def networks(self) -> Sequence[NetworkNamespace]:
        """Every network namespace, the host's first."""
        spaces = self.frame.network_namespaces
        return () if spaces is UNSET else spaces

    @property
    def namespaces(self) -> Sequence[Namespace]:
        """Every namespace."""
        return () if self.frame.namespaces is UNSET else self.frame.namespaces

    @property
    def cgroups(self) -> Sequence[Cgroup]:
        """Every cgroup."""
        return () if self.frame.cgroups is UNSET else self.frame.cgroups

    @property
    def mounts(self) -> Sequence[Mount]:
        """Every mount."""
        return () if self.frame.mounts is UNSET else self.frame.mounts

    @cached_property
    def processes(self) -> Mapping[int, Process]:
        """Every process, by pid."""
        listed = () if self.frame.processes is UNSET else self.frame.processes
        return {one.pid: one for one in listed}

    @cached_property
    def by_id(self) -> Mapping[str, Container]:
        """Every container, by id."""
        return {one.id: one for one in self.containers}

    @cached_property
    def by_any_pid(self) -> Mapping[int, Sequence[Process]]:
        """Every process by each pid that it has, here and in the namespaces within."""
        found: dict[int, list[Process]] = {}
        for one in self.processes.values():
            for number in set(one.namespace_pids):
                found.setdefault(number, []).append(one)
        return found

    def owners(self, ids: Iterable[str | None]) -> tuple[Owner, ...]:
        """Return these containers as owners, each once; what is no id of one is left out."""
        known = dict.fromkeys(name for name in ids if name is not None and name in self.by_id)
        return tuple(_owner(self.by_id[name]) for name in known)

    def name(self, container: str | None) -> str:
        """Return a container as text: `container web (docker, 4f0c…)`."""
        found = self.by_id.get(container or "")
        if found is None:
            return f"container {container}"
        return f"container {found.name} ({found.engine or 'no engine'}, id {short(found.id)})"

    def process(self, pid: int) -> str:
        """Return a process as text: `pid 12 (nginx)`."""
        found = self.processes.get(pid)
        return f"pid {pid} ({found.comm})" if found else f"pid {pid}"

    def members(self, namespace: int) -> list[str]:
        """Return the containers whose first process is in a namespace."""
        return [one.id for one in self.containers if namespace in one.namespaces.values()]

    def is_hosts(self, namespace: int) -> bool:
        """Return whether a namespace is one of the host's own."""
        return namespace in self.frame.host.init_namespaces.values()

    def where(self, namespace: int) -> str:
        """Return a network namespace as text."""
        if self.is_hosts(namespace):
            return "the host's network namespace"
        return f"network namespace {namespace}"


def short(identity: str) -> str:
    """Return an id as short as people say it."""
    hexadecimal = len(identity) >= 32 and all(c in "0123456789abcdef" for c in identity)
    return identity[:12] if hexadecimal else identity


def _owner(container: Container) -> Owner:
    return Owner(container.id, container.name, container.engine, container.status)
