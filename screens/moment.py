"""What a screen is shown: one frame, what is known of the samples before it, and ways to look things up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import UNSET

from inspector.domains.cgroups.model import Cgroup
from inspector.domains.containers.model import Container
from inspector.domains.events.model import Event
from inspector.domains.mounts.model import Mount, MountedFilesystem
from inspector.domains.namespaces.model import Namespace
from inspector.domains.network.model import Interface, NetworkNamespace
from inspector.domains.processes.model import Process
from inspector.frame import Frame
from inspector.history import History
from screens.short import ids


@dataclass(frozen=True)
class Moment:
    """A frame with its past. What it looks up is looked up once."""

    frame: Frame
    history: History
    event_log: Sequence[Event]
    interval: float
    """Seconds between two samples."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names by id, of what went away too."""

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Every container; none where the frame has no such section."""
        return () if self.frame.containers is UNSET else self.frame.containers

    @cached_property
    def namespaces(self) -> tuple[Namespace, ...]:
        """Every namespace."""
        return () if self.frame.namespaces is UNSET else self.frame.namespaces

    @cached_property
    def cgroups(self) -> tuple[Cgroup, ...]:
        """Every cgroup."""
        return () if self.frame.cgroups is UNSET else self.frame.cgroups

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """Every process."""
        return () if self.frame.processes is UNSET else self.frame.processes

    @cached_property
    def mounts(self) -> tuple[Mount, ...]:
        """Every mount."""
        return () if self.frame.mounts is UNSET else self.frame.mounts

    @cached_property
    def filesystem_by_device(self) -> Mapping[str, MountedFilesystem]:
        """How full each filesystem is, by the device that its mounts name."""
        found = self.frame.filesystems
        return {} if found is UNSET else {one.device: one for one in found}

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """Every network interface."""
        return () if self.frame.network is UNSET else self.frame.network

    @cached_property
    def network_by_inode(self) -> Mapping[int, NetworkNamespace]:
        """Network namespaces by inode, with what listens in each."""
        spaces = self.frame.network_namespaces
        return {} if spaces is UNSET else {space.inode: space for space in spaces}

    @cached_property
    def container_by_id(self) -> Mapping[str, Container]:
        """Containers by the id that other sections name them by."""
        return {container.id: container for container in self.containers}

    @cached_property
    def namespace_by_inode(self) -> Mapping[int, Namespace]:
        """Namespaces by inode."""
        return {namespace.inode: namespace for namespace in self.namespaces}

    @cached_property
    def process_by_pid(self) -> Mapping[int, Process]:
        """Processes by the host's pid."""
        return {process.pid: process for process in self.processes}

    @cached_property
    def processes_by_container(self) -> Mapping[str, Sequence[Process]]:
        """Processes by the container they belong to."""
        found: dict[str, list[Process]] = {}
        for process in self.processes:
            if process.container is not None:
                found.setdefault(process.container, []).append(process)
        return found

    def container_name(self, identity: str | None) -> str | None:
        """Return a container's name for its id, or its last one; the start of the id where there never was one."""
        if identity is None:
            return None
        container = self.container_by_id.get(identity)
        return container.name if container else self.names.get(identity) or ids(identity)
