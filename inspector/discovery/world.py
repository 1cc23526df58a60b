"""A sample's processes and namespaces, indexed: what discovery walks through."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from collectors.kernel import mounts, namespaces, processes
from collectors.kernel.mounts import MountInfo
from collectors.kernel.namespaces import TYPES, Namespace
from collectors.kernel.processes import Process
from inspector.sample import Sample

ENDED: Final = frozenset({"Z", "X"})
"""States of a process that is over: it has left its namespaces, and waits to be forgotten."""

Inodes = tuple[int | None, ...]
"""A process's namespaces, one entry a type of `TYPES`."""

MNT: Final = TYPES.index("mnt")
PID: Final = TYPES.index("pid")
NET: Final = TYPES.index("net")
USER: Final = TYPES.index("user")
FIRST: Final[Mapping[str, int]] = {
    "ipc": 0xEFFFFFFF,
    "uts": 0xEFFFFFFE,
    "user": 0xEFFFFFFD,
    "pid": 0xEFFFFFFC,
    "cgroup": 0xEFFFFFFB,
    "time": 0xEFFFFFFA,
}
"""The kernel's own first namespaces have fixed inodes (linux/proc_ns.h); mnt and net have none."""


@dataclass(frozen=True, slots=True)
class World:
    """What discovery knows. Inodes of namespaces are unique among all types."""

    processes: Mapping[int, Process]
    members: Mapping[int, Inodes]
    """Every process's namespaces by pid, as far as they could be read."""
    host: Inodes
    """Pid 1's namespaces: what "differs from the host's" means."""
    host_known: bool
    """False: pid 1's could not be read, and the reader's own stand in for them."""
    inside: bool
    """True: pid 1 is not the host's, for the reader itself is in a container."""
    namespaces: Mapping[int, Namespace]
    mounts: Mapping[int, tuple[MountInfo, ...]]
    """By mount namespace, where mounts were asked for."""
    roots: Mapping[int, MountInfo]
    """By mount namespace: what is mounted at `/` there, where mounts were asked for."""
    own_pid: int

    def differing(self, inodes: Inodes, base: Inodes | None = None) -> tuple[str, ...]:
        """Return the types in which a process is not in the host's (or the base's) namespace."""
        return tuple(
            kind
            for kind, inode, other in zip(TYPES, inodes, base or self.host, strict=False)
            if inode is not None and other is not None and inode != other
        )

    def shared_with_first(self, inodes: Inodes) -> tuple[str, ...]:
        """Return the types in which these are the kernel's own first namespaces."""
        return tuple(
            kind
            for kind, inode in zip(TYPES, inodes, strict=False)
            if inode is not None and FIRST.get(kind) == inode
        )


def build(sample: Sample, listed: Mapping[int, Process]) -> World:
    """Index a sample and its processes; what was not read is empty."""
    read = sample.get(processes.KEY)
    spaces = sample.get(namespaces.KEY)
    members: dict[int, Inodes] = {}
    for member in spaces.memberships if spaces else ():
        process = listed.get(member.pid)
        if not any(member.inodes) or (process is not None and process.state in ENDED):
            continue  # the kernel would not say; one that ended has left most of its own
        # A pid that was used again between the two readings is another process.
        if process is None or process.start_ticks == member.start_ticks:
            members[member.pid] = member.inodes
    mounted = sample.get(mounts.KEY)
    seen = {space.namespace: space.mounts for space in mounted.namespaces} if mounted else {}
    empty: Inodes = (None,) * len(TYPES)
    init = spaces.init if spaces else empty
    host_known = any(inode is not None for inode in init)
    host = init if host_known or spaces is None else spaces.own
    return World(
        processes=listed,
        members=members,
        host=host,
        host_known=host_known,
        inside=host[PID] is not None and host[PID] != FIRST["pid"],
        namespaces={space.inode: space for space in spaces.namespaces} if spaces else {},
        mounts=seen,
        roots={space: root for space, all_ in seen.items() if (root := root_mount(all_))},
        own_pid=read.own_pid if read else 0,
    )


def root_mount(listed: Iterable[MountInfo]) -> MountInfo | None:
    """Return what is mounted at `/`: of several on each other, the one that none covers."""
    roots = [mount for mount in listed if mount.mountpoint == "/"]
    covered = {mount.parent_id for mount in roots if mount.parent_id != mount.mount_id}
    return next((mount for mount in roots if mount.mount_id not in covered), None)
