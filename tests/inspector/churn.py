"""A host that changes from sample to sample in every way that a sample can, at random."""

import random
from collections.abc import Callable
from typing import Any

from msgspec import structs

from collectors.engine import EngineContainer, EngineReading
from collectors.formats.pressure import Pressure, PressureLine
from collectors.kernel import cgroups, layers, network, processes, security
from collectors.kernel.cgroups import Cgroup, Cpu, Depth, DepthReading, IoDevice, Memory, Pids
from collectors.kernel.layers import LayersReading, Overlay
from collectors.kernel.mounts import NamespaceMounts
from collectors.kernel.namespaces import TYPES, Membership
from collectors.kernel.network import Interface, NamespaceNetwork, NetworkReading
from collectors.kernel.processes import Process
from collectors.kernel.security import Label, SecurityReading
from collectors.overlay.records import FileChange, UpperReading
from inspector.frame import SECTIONS
from inspector.sample import EngineAnswer, Sample
from tests.inspector.canned import A, B, C, Host, mount, overlay, own

IDS = (A, B, C, "d" * 64)
COMMS = ("sleep", "conmon", "containerd-shim", "bwrap", "fuse-overlayfs", "pause", "unshare")


class Churn:
    """Keeps a host, and does something to it each time that it is asked."""

    def __init__(self, choose: random.Random, *, v1: bool, calm: bool = False) -> None:
        """Begin with a few containers; on a calm host hardly more happens than births and ends."""
        self.choose = choose
        self.calm = calm
        self.host = Host(v1=v1)
        self.hierarchies = ("memory", "cpu,cpuacct", "pids") if v1 else ("",)
        self.depths: dict[tuple[str, str], Depth] = {}
        self.uppers: dict[str, UpperReading] = {}
        self.labels: dict[int, Label] = {}
        self.listed: dict[str, EngineContainer] = {}
        self.at = 100.0
        self.next = 100
        for path in ("/", "/docker"):
            self._group(path)
        for number in range(3):
            self.container(number)

    def sample(self) -> Sample:
        """Return it as it is now."""
        answer = EngineReading("docker", "1", "/run/docker.sock", tuple(self.listed.values()))
        self.host.engines = [EngineAnswer(name="docker", address=None, reading=answer)]
        asked = self.choose.choice((SECTIONS, SECTIONS, SECTIONS, ("containers",), ("cgroups",)))
        made = self.host.sample(at=self.at, sections=asked)
        more: dict[str, object] = {
            cgroups.DEPTH.name: DepthReading(dict(self.depths), ()),
            layers.KEY.name: LayersReading(tuple(self.host.overlays), tuple(self.uppers.values())),
            security.KEY.name: SecurityReading(tuple(self.labels.values())),
            network.LINKS.name: NetworkReading(tuple(self.host.networks)),
        }
        readings = {**made.readings, **more}
        for name in (cgroups.DEPTH.name, cgroups.KEY.name, processes.KEY.name):
            if self.choose.random() < 0.03:
                del readings[name]
        return structs.replace(made, readings=readings, moments=dict.fromkeys(readings, self.at))

    def happen(self) -> None:
        """Let a few things happen, or nothing."""
        self.at += self.choose.choice((0.5, 1.0, 1.0, 0.0))
        for _ in range(self.choose.choice((0, 0, 1, 1, 3))):
            self.choose.choice(self._deeds())()

    def _deeds(self) -> tuple[Callable[[], None], ...]:
        if self.calm and self.choose.random() < 0.9:
            return (self.run, self.end, self.born, self.born, self.count, self.press)
        return (
            self.run, self.run, self.exec, self.end, self.zombie, self.again, self.enter, self.move,
            self.born, self.count, self.count, self.press, self.press, self.limit, self.throttle, self.kill, self.anew,
            self.deepen, self.mounted, self.send, self.name, self.forget, self.write, self.confine,
            lambda: self.container(self.choose.randrange(6)),
        )  # fmt: skip

    def container(self, number: int) -> None:
        """Begin a container: namespaces, cgroups, perhaps a nested one's parent."""
        name = IDS[number % len(IDS)]
        path = f"/docker/{name}"
        if self.choose.random() < 0.2:
            path = f"/docker/{self.choose.choice(IDS)}/docker/{name}"
        for part in (path.rpartition("/")[0], path):
            self._group(part)
        kinds = self.choose.choice(((), (), ("mnt", "pid"), ("net", "uts", "mnt"), ("pid", "net")))
        spaces = own(number, *kinds)
        init = self._process(cgroup=path, ns=spaces, inside=(1,))
        for _ in range(self.choose.randrange(3)):
            self._process(ppid=init.pid, cgroup=path, ns=spaces, inside=(self.next,))
        space = spaces.get("mnt")
        if space is not None and all(one.namespace != space for one in self.host.mounts):
            self.host.root(space, overlay(number), mount(90, "/data", root="/srv"))
            layer = Overlay(
                namespace=space, device=f"0:{number}", lowerdirs=(f"/l/{number % 2}",),
                upperdir=f"/u/{number}", workdir=None, merged=None, options=(),
            )  # fmt: skip
            self.host.overlays.append(layer)
        if "net" in spaces and all(one.namespace != spaces["net"] for one in self.host.networks):
            self._network(spaces["net"], init.pid, 1)

    def born(self) -> None:
        """Begin a process somewhere."""
        parent = self.choose.choice(self.host.processes)
        member = self.host.memberships[self.host.processes.index(parent)]
        born = self._process(ppid=parent.pid)
        at = len(self.host.processes) - 1
        self.host.processes[at] = structs.replace(born, cgroups=parent.cgroups)
        self.host.memberships[at] = structs.replace(member, pid=born.pid, start_ticks=born.pid)

    def run(self) -> None:
        """Let a process use the processor."""
        self._change(
            lambda one: structs.replace(
                one, utime_ticks=one.utime_ticks + 7, rss_bytes=one.rss_bytes + 4096,
                state=self.choose.choice("SRD"), threads=self.choose.randrange(1, 4),
            )
        )  # fmt: skip

    def exec(self) -> None:
        """Let a process become another program, and another user's."""
        comm = self.choose.choice(COMMS)
        words = (comm, "-id", A, "-namespace", "moby", "-n", "web", "-c", B)
        self._change(
            lambda one: structs.replace(
                one, comm=comm, command=words, uid=self.choose.randrange(2),
                cap_effective=self.choose.choice((0, one.cap_bounding)),
                seccomp=self.choose.choice((0, 2)),
            )
        )  # fmt: skip

    def end(self) -> None:
        """End a process but the first."""
        if len(self.host.processes) > 3:
            at = self.choose.randrange(2, len(self.host.processes))
            del self.host.processes[at], self.host.memberships[at]

    def zombie(self) -> None:
        """End a process that nobody has waited for."""
        self._change(lambda one: structs.replace(one, state="Z", command=()))

    def again(self) -> None:
        """Use a pid again."""
        self._change(lambda one: structs.replace(one, start_ticks=one.start_ticks + 1000))
        self.host.memberships = [
            structs.replace(member, start_ticks=one.start_ticks)
            if self.choose.random() < 0.9
            else member
            for member, one in zip(self.host.memberships, self.host.processes, strict=True)
        ]

    def enter(self) -> None:
        """Let a process enter another's namespaces, or have them be hidden."""
        at = self.choose.randrange(len(self.host.processes))
        other = self.choose.choice(self.host.memberships)
        before = self.host.memberships[at]
        kind = self.choose.randrange(len(TYPES))
        inodes = list(before.inodes)
        inodes[kind] = other.inodes[kind]
        hidden = (None,) * len(TYPES) if self.choose.random() < 0.1 else tuple(inodes)
        self.host.memberships[at] = Membership(before.pid, before.start_ticks, hidden)

    def move(self) -> None:
        """Move a process into another's cgroups."""
        other = self.choose.choice(self.host.processes)
        self._change(lambda one: structs.replace(one, cgroups=other.cgroups))

    def count(self) -> None:
        """Let a cgroup's counters grow, or one of them go back."""
        grown = self.choose.choice((5, 1000, 10**6, -3))

        def counted(one: Cgroup) -> Cgroup:
            cpu, memory = one.cpu or Cpu(), one.memory or Memory()
            line = PressureLine(self.choose.choice((0.0, 40.0)), 0.0, 0.0, max(0, grown))
            return structs.replace(
                one,
                cpu=structs.replace(cpu, usage_usec=(cpu.usage_usec or 0) + grown),
                memory=structs.replace(
                    memory, current_bytes=(memory.current_bytes or 0) + grown,
                    stat={"pgfault": max(0, grown), "anon": 4},
                ),
                pids=Pids(self.choose.randrange(9), self.choose.choice((None, 9))),
                io=(IoDevice(device="8:0", read_bytes=max(0, grown), write_bytes=0, read_ops=1,
                             write_ops=0),),
                pressure={"cpu": Pressure(line, None)} if self.choose.random() < 0.3 else None,
                frozen=self.choose.random() < 0.1,
            )  # fmt: skip

        self._regroup(counted)

    def press(self) -> None:
        """Let tasks wait, or stop doing so: nothing but a cgroup's pressure changes."""
        waiting = self.choose.choice((0.0, 3.0, 40.0))
        line = PressureLine(waiting, 0.0, 0.0, self.choose.randrange(10**6))
        pressure = {"cpu": Pressure(line, None), "memory": Pressure(line, line)}
        for _ in range(self.choose.randrange(1, 4)):
            self._regroup(lambda one: structs.replace(one, pressure=dict(pressure)))

    def limit(self) -> None:
        """Set limits of a cgroup, those of an outer one too."""
        bytes_, quota = self.choose.choice((None, 5000)), self.choose.choice((None, 50_000))

        def limited(one: Cgroup) -> Cgroup:
            cpu, memory = one.cpu or Cpu(), one.memory or Memory()
            return structs.replace(
                one,
                cpu=structs.replace(cpu, quota_usec=quota, period_usec=100_000),
                memory=structs.replace(memory, limit_bytes=bytes_, high_bytes=bytes_),
            )

        self._regroup(limited)

    def throttle(self) -> None:
        """Let a cgroup's periods pass, some of them throttled."""

        def throttled(one: Cgroup) -> Cgroup:
            cpu = one.cpu or Cpu()
            return structs.replace(
                one,
                cpu=structs.replace(
                    cpu, periods=(cpu.periods or 0) + 10, quota_usec=cpu.quota_usec or 10_000,
                    period_usec=100_000,
                    throttled_periods=(cpu.throttled_periods or 0) + self.choose.choice((0, 6)),
                ),
            )  # fmt: skip

        self._regroup(throttled)

    def kill(self) -> None:
        """Kill for want of memory."""

        def killed(one: Cgroup) -> Cgroup:
            memory = one.memory or Memory()
            kills = (memory.oom_kills or 0) + 1
            return structs.replace(
                one, memory=structs.replace(memory, oom_kills=kills, events={"oom_kill": kills})
            )

        self._regroup(killed)

    def anew(self) -> None:
        """Make a cgroup anew at the same path, or remove it."""
        if self.choose.random() < 0.5 and len(self.host.cgroups) > 4:
            del self.host.cgroups[self.choose.randrange(3, len(self.host.cgroups))]
        else:
            self._regroup(lambda one: structs.replace(one, inode=one.inode + 1))

    def deepen(self) -> None:
        """Change what a cgroup says besides."""
        one = self.choose.choice(self.host.cgroups)
        self.depths[one.hierarchy, one.path] = Depth(
            memory_min_bytes=self.choose.choice((None, 0, 4096)),
            memory_events_local={"oom_kill": self.choose.randrange(2)},
            pids_events={"max": self.choose.randrange(2)},
            dying_descendants=self.choose.choice((0, 500)),
        )

    def mounted(self) -> None:
        """Mount something in a namespace."""
        if self.host.mounts:
            at = self.choose.randrange(len(self.host.mounts))
            space = self.host.mounts[at]
            new = mount(self.next, self.choose.choice(("/proc/kcore", "/srv")), fstype="tmpfs")
            self.host.mounts[at] = NamespaceMounts(
                space.namespace, space.pid, space.root_path, (*space.mounts, new)
            )
            self.next += 1

    def send(self) -> None:
        """Send over a namespace's links."""
        if self.host.networks:
            at = self.choose.randrange(len(self.host.networks))
            space = self.host.networks[at]
            self._network(space.namespace, space.pid, self.choose.randrange(1, 5), at)

    def name(self) -> None:
        """Let the engine list a container, perhaps a stopped one."""
        process = self.choose.choice(self.host.processes)
        chosen = self.choose.choice(IDS)
        self.listed[chosen] = EngineContainer(
            id=chosen, engine="docker", name=self.choose.choice(("web", "db")),
            pid=self.choose.choice((None, process.pid)),
            status=self.choose.choice(("running", "created", None)),
            labels={"a": self.choose.choice("xy")},
        )  # fmt: skip

    def forget(self) -> None:
        """Let the engine forget a container."""
        if self.listed:
            del self.listed[self.choose.choice(list(self.listed))]

    def write(self) -> None:
        """Write to an upper directory."""
        if self.host.overlays:
            upper = self.choose.choice(self.host.overlays).upperdir or ""
            before = self.uppers.get(upper)
            self.uppers[upper] = UpperReading(
                upperdir=upper, size_bytes=self.choose.randrange(1 << 20), inodes=1, complete=True,
                changes=(FileChange("/a", "added", 4, is_directory=False, layer=None, modified_at=None),),
                walked_at=self.choose.choice((self.at, before.walked_at if before else 0.0)),
            )  # fmt: skip

    def confine(self) -> None:
        """Label the processes of a mount namespace."""
        space = self.choose.choice(self.host.memberships).inodes[0]
        if space is not None:
            self.labels[space] = Label(space, 1, self.choose.choice((None, "docker-default")))

    def _process(self, *, ppid: int = 1, **fields: Any) -> Process:
        self.next += 1
        return self.host.process(self.next, ppid, self.choose.choice(COMMS), **fields)

    def _change(self, change: Callable[[Process], Process]) -> None:
        at = self.choose.randrange(len(self.host.processes))
        self.host.processes[at] = change(self.host.processes[at])

    def _regroup(self, change: Callable[[Cgroup], Cgroup]) -> None:
        at = self.choose.randrange(len(self.host.cgroups))
        self.host.cgroups[at] = change(self.host.cgroups[at])

    def _group(self, path: str) -> None:
        for hierarchy in self.hierarchies:
            if all((one.hierarchy, one.path) != (hierarchy, path) for one in self.host.cgroups):
                self.next += 1
                said = {"memory": Memory(oom_kills=0)} if self.choose.random() < 0.5 else {}
                self.host.group(path, hierarchy=hierarchy, inode=self.next, **said)

    def _network(self, namespace: int, pid: int, times: int, at: int | None = None) -> None:
        counters = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), times * 100)
        link = Interface(
            name="eth0", index=2, kind="veth", up=True, mac=None, addresses=("10.0.0.2/24",),
            peer_index=times, peer_namespace_id=0, counters=counters,
        )  # fmt: skip
        space = NamespaceNetwork(namespace, pid, (link,))
        if at is None:
            self.host.networks.append(space)
        else:
            self.host.networks[at] = space
