"""Small samples of hosts, built by hand: each process says which namespaces and cgroups it is in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from collectors.collector import Key
from collectors.engine import EngineContainer, EngineEvent, EngineReading
from collectors.kernel import cgroups, host, layers, mounts, namespaces, network, processes
from collectors.kernel.cgroups import Cgroup, CgroupsReading, Hierarchy
from collectors.kernel.host import HostReading
from collectors.kernel.layers import LayersReading, Overlay
from collectors.kernel.mounts import MountsReading, NamespaceMounts
from collectors.kernel.namespaces import TYPES, Membership, Namespace, NamespacesReading
from collectors.kernel.network import NamespaceNetwork, NetworkReading
from collectors.kernel.processes import CgroupEntry, Process, ProcessesReading
from inspector.frame import SECTIONS
from inspector.sample import EngineAnswer, Sample
from runtime.formats.mountinfo import MountInfo

HOST = {
    "mnt": 4026531841,
    "uts": 0xEFFFFFFE,
    "ipc": 0xEFFFFFFF,
    "pid": 0xEFFFFFFC,
    "net": 4026531840,
    "user": 0xEFFFFFFD,
    "cgroup": 0xEFFFFFFB,
    "time": 0xEFFFFFFA,
}
WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALL_CAPABILITIES = (1 << 41) - 1
A, B, C = "a" * 64, "b" * 64, "c" * 64


class Host:
    """Collects processes and the rest, then is a sample."""

    def __init__(self, *, init: Mapping[str, int] | None = None, v1: bool = False) -> None:
        self.base = {**HOST, **(init or {})}
        self.v1 = v1
        self.processes: list[Process] = []
        self.memberships: list[Membership] = []
        self.parents: dict[int, int] = {}
        self.owners: dict[int, int] = {}
        """Who made a user namespace, by its inode."""
        self.cgroups: list[Cgroup] = []
        self.mounts: list[NamespaceMounts] = []
        self.networks: list[NamespaceNetwork] = []
        self.overlays: list[Overlay] = []
        self.engines: list[EngineAnswer] = []
        self.own_pid = 0
        self.process(1, 0, "systemd")
        self.process(2, 0, "kthreadd", kernel=True)

    def process(
        self,
        pid: int,
        ppid: int,
        comm: str,
        *command: str,
        ns: Mapping[str, int] | None = None,
        cgroup: str | Mapping[str, str] = "/",
        inside: Sequence[int] = (),
        start: int | None = None,
        state: str = "S",
        kernel: bool = False,
        readable: bool = True,
        utime: int = 0,
        caps: int = ALL_CAPABILITIES,
        seccomp: int = 0,
        uid: int = 0,
    ) -> Process:
        """Add a process; `ns` are the namespaces that are not the host's, `inside` its pids there."""
        inodes = {**self.base, **(ns or {})}
        process = Process(
            pid=pid,
            start_ticks=pid if start is None else start,
            ppid=ppid,
            namespace_pids=(pid, *inside),
            uid=uid,
            gid=uid,
            comm=comm,
            command=command or (() if kernel else (comm,)),
            state=state,
            threads=1,
            utime_ticks=utime,
            stime_ticks=0,
            rss_bytes=4096,
            kernel_thread=kernel,
            cgroups=self._entries(cgroup),
            cap_inheritable=0,
            cap_permitted=caps,
            cap_effective=caps,
            cap_bounding=caps,
            cap_ambient=0,
            no_new_privs=False,
            seccomp=seccomp,
        )
        self.processes.append(process)
        known = tuple(inodes[kind] for kind in TYPES) if readable else (None,) * len(TYPES)
        self.memberships.append(Membership(pid, process.start_ticks, known))
        return process

    def _entries(self, cgroup: str | Mapping[str, str]) -> tuple[CgroupEntry, ...]:
        if isinstance(cgroup, str):
            cgroup = (
                {"memory": cgroup, "cpu,cpuacct": cgroup, "pids": cgroup}
                if self.v1
                else {"": cgroup}
            )
        return tuple(
            CgroupEntry(number, tuple(names.split(",")) if names else (), path)
            for number, (names, path) in enumerate(cgroup.items())
        )

    def group(self, path: str, *, hierarchy: str = "", inode: int = 1, **parts: object) -> None:
        """Add a cgroup."""
        fields: dict[str, object] = {
            "controllers": (),
            "processes": 1,
            "populated": True,
            "frozen": False,
            **parts,
        }
        self.cgroups.append(Cgroup(hierarchy=hierarchy, path=path, inode=inode, **fields))

    def root(self, namespace: int, mount: MountInfo, *more: MountInfo) -> None:
        """Say what is mounted at `/` in a mount namespace, and what else."""
        self.mounts.append(NamespaceMounts(namespace, 1, "/", (mount, *more)))

    def engine(
        self, name: str, *containers: EngineContainer, events: Sequence[EngineEvent] = ()
    ) -> None:
        """Add an engine that answers."""
        reading = EngineReading(name, "1.0", f"/run/{name}.sock", containers, tuple(events))
        self.engines.append(EngineAnswer(name=name, address=f"/run/{name}.sock", reading=reading))

    def sample(self, *, at: float = 100.0, sections: Sequence[str] = SECTIONS) -> Sample:
        """Return it as taken at that moment, in monotonic seconds."""
        readings: dict[str, object] = {
            host.KEY.name: HostReading(
                hostname="canned",
                kernel="6.1.0",
                boot_id=None,
                uptime_seconds=1000.0,
                booted_at=WHEN.timestamp() - 1000,
                cpus=4,
                memory_bytes=8 << 30,
                memory_available_bytes=4 << 30,
                cpu_busy_ticks=int(at * 50),
                os="Canned Linux",
            ),
            processes.KEY.name: ProcessesReading(tuple(self.processes), 100, self.own_pid),
            namespaces.KEY.name: self._namespaces(),
            cgroups.KEY.name: CgroupsReading(
                mode="v1" if self.v1 else "unified",
                hierarchies=(
                    tuple(
                        Hierarchy(1, f"/sys/fs/cgroup/{name}", tuple(name.split(",")), "/")
                        for name in ("memory", "cpu,cpuacct", "pids")
                    )
                    if self.v1
                    else (Hierarchy(2, "/sys/fs/cgroup", ("cpu", "memory", "pids"), "/"),)
                ),
                cgroups=tuple(self.cgroups),
                device_names={"8:0": "sda"},
            ),
            mounts.KEY.name: MountsReading(tuple(self.mounts)),
            network.LINKS.name: NetworkReading(tuple(self.networks)),
            layers.KEY.name: LayersReading(tuple(self.overlays), ()),
        }
        return Sample(
            taken_at=datetime.fromtimestamp(WHEN.timestamp() + at, UTC),
            sections=frozenset(sections),
            readings=readings,
            moments=dict.fromkeys(readings, at),
            engines=tuple(self.engines),
        )

    def _namespaces(self) -> NamespacesReading:
        kinds = {
            inode: kind
            for member in self.memberships
            for kind, inode in zip(TYPES, member.inodes, strict=True)
            if inode is not None
        }
        init = next(member.inodes for member in self.memberships if member.pid == 1)
        return NamespacesReading(
            namespaces=tuple(
                Namespace(
                    inode=inode,
                    type=kind,
                    parent=self.parents.get(inode),
                    owner_user_ns=self.base["user"],
                    owner_uid=self.owners.get(inode),
                )
                for inode, kind in kinds.items()
            ),
            memberships=tuple(self.memberships),
            own=tuple(self.base[kind] for kind in TYPES),
            init=init,
        )


def own(number: int, *kinds: str) -> dict[str, int]:
    """Return namespaces of a container's own: the same number gives the same ones."""
    wanted = kinds or ("mnt", "uts", "ipc", "pid", "net")
    return {kind: 4026540000 + number * 10 + TYPES.index(kind) for kind in wanted}  # type: ignore[arg-type]  # a test names only types


def overlay(number: int = 1) -> MountInfo:
    """Return an overlay mounted at `/`."""
    return mount(number, "/", fstype="overlay", device=f"0:{number}")


def mount(
    number: int,
    mountpoint: str,
    *,
    fstype: str = "ext4",
    device: str = "8:1",
    root: str = "/",
    options: Sequence[str] = ("rw",),
) -> MountInfo:
    """Return one line of mountinfo."""
    return MountInfo(
        number, 0, device, root, mountpoint, tuple(options), (), fstype, fstype, tuple(options)
    )


def without(sample: Sample, *keys: Key[object]) -> Sample:
    """Return a sample in which some readings could not be taken."""
    import msgspec

    names = {key.name for key in keys}
    return msgspec.structs.replace(
        sample, readings={name: said for name, said in sample.readings.items() if name not in names}
    )
