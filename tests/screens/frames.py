"""Canned frames: one host that has something of everything, at any step of an invented time."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from collectors.errors import Problem
from inspector.control import ActionFailed, LayerReport, StartRequest
from inspector.domains.cgroups.model import (
    Cgroup,
    Cpu,
    Finding,
    Io,
    IoDevice,
    Memory,
    Pids,
    Pressure,
    PressureLine,
)
from inspector.domains.containers.model import (
    Container,
    IdMapping,
    Resources,
    Security,
    Shim,
)
from inspector.domains.engines.model import Engine
from inspector.domains.events.model import Event
from inspector.domains.host.model import CgroupHierarchy, Host, HostCgroup
from inspector.domains.layers.model import Change, Changes, Layer, Rootfs
from inspector.domains.mounts.model import Mount, MountedFilesystem
from inspector.domains.namespaces.model import Namespace
from inspector.domains.network.model import (
    Interface,
    Listener,
    NetworkNamespace,
    NetworkUsage,
    Peer,
    Route,
)
from inspector.domains.processes.model import Process
from inspector.frame import Cost, Frame
from tests.screens.canned_files import CannedFiles

START = datetime(2026, 3, 2, 17, 4, 0, tzinfo=UTC)
HOST_NS = {
    "mnt": 4026531841,
    "uts": 4026531838,
    "ipc": 4026531839,
    "pid": 4026531836,
    "net": 4026531840,
    "user": 4026531837,
    "cgroup": 4026531835,
    "time": 4026531834,
}
IDENTITY = (IdMapping(0, 0, 4294967295),)
MIB = 1024 * 1024


def cpu(busy, limit=None, *, by=None, throttled=None, usage=10_000_000):
    return Cpu(
        usage_usec=usage,
        user_usec=usage // 2,
        system_usec=usage // 2,
        busy_cores=busy,
        limit_cores=limit,
        limited_by=by,
        shares=None,
        weight=100,
        cpuset=None,
        periods=1000,
        throttled_periods=int(1000 * (throttled or 0)),
        throttled_usec=0,
        throttled_ratio=throttled,
    )


def memory(used, limit=None, *, by=None, kills=0):
    return Memory(
        current_bytes=int(used * 1.1),
        working_set_bytes=int(used),
        anon_bytes=int(used * 0.9),
        file_bytes=int(used * 0.1),
        kernel_bytes=int(used * 0.02),
        swap_bytes=0,
        peak_bytes=int(used * 1.3),
        limit_bytes=limit,
        limited_by=by,
        oom_kills=kills,
        events={"oom_kill": kills},
    )


def io(read, write):
    return Io(
        (
            IoDevice(
                device="254:0",
                name="vda",
                read_bytes=10**7,
                write_bytes=10**7,
                read_ops=100,
                write_ops=100,
                read_bytes_per_second=read,
                write_bytes_per_second=write,
            ),
        )
    )


def pressure(cpu_share, memory_share=0.0, io_share=0.0):
    def line(share):
        return Pressure(PressureLine(share, share, share, 1000), PressureLine(0, 0, 0, 0))

    return {"cpu": line(cpu_share), "memory": line(memory_share), "io": line(io_share)}


def network(rx, tx):
    return NetworkUsage(
        rx_bytes=10**8,
        tx_bytes=10**7,
        rx_packets=10,
        tx_packets=10,
        rx_bytes_per_second=rx,
        tx_bytes_per_second=tx,
    )


def security(*, privileged=False, uid=0):
    capabilities = (
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_KILL",
        "CAP_NET_BIND_SERVICE",
    )
    return Security(
        capabilities={"effective": capabilities, "bounding": (*capabilities, "CAP_SETUID")},
        seccomp="disabled" if privileged else "filter",
        no_new_privs=not privileged,
        lsm=None,
        privileged=privileged,
        masked_paths=() if privileged else ("/proc/kcore", "/proc/keys", "/sys/firmware"),
        readonly_paths=() if privileged else ("/proc/sys", "/proc/sysrq-trigger"),
        uid_map=(IdMapping(0, uid, 1),) if uid else IDENTITY,
        gid_map=(IdMapping(0, uid, 1),) if uid else IDENTITY,
    )


def container(name, number, **changes):
    """Return a running container whose namespaces are its own, but for user and time."""
    base = 4026532100 + number * 10
    identity = changes.pop("id", f"{number:02x}" * 32)
    path = changes.pop("path", f"/docker/{identity}")
    fields = {
        "id": identity,
        "name": name,
        "engine": "docker",
        "engine_namespace": "moby",
        "pod": None,
        "image": f"{name}:1",
        "image_digest": "sha256:" + f"{number:02x}" * 32,
        "labels": {},
        "command": (name, "--serve"),
        "status": "running",
        "pid": 20000 + number * 100,
        "pids": (20000 + number * 100, 20001 + number * 100),
        "created_at": START - timedelta(days=2, hours=3),
        "started_at": START - timedelta(days=2, hours=3),
        "finished_at": None,
        "exit_code": None,
        "runtime": "io.containerd.runc.v2",
        "shim": Shim(pid=19990 + number * 100, address=None, version=None),
        "namespaces": {
            kind: inode if kind in {"user", "time"} else base + place
            for place, (kind, inode) in enumerate(HOST_NS.items())
        },
        "shared_with_host": ("user", "time"),
        "shared_with": {},
        "cgroups": {"": path},
        "rootfs": rootfs(number),
        "resources": None,
        "security": security(),
        "evidence": (
            f"{20000 + number * 100} is 1 inside",
            "its mnt, pid and net differ from the host's",
        ),
    }
    fields.update(changes)
    return Container(**fields)


def findings(path, *, throttled, memory_ratio, kills) -> tuple[Finding, ...]:
    """Return what would be found of a container that is held back in every way."""

    def one(kind, severity, sentence, seconds=None, **numbers):
        return Finding(
            kind=kind,
            severity=severity,
            cgroup=path,
            sentence=sentence,
            numbers=numbers,
            window_seconds=seconds,
        )

    found = []
    if kills:
        found.append(
            one(
                "oom_kill",
                "critical",
                "the kernel killed 1 process for want of memory so far, 1 of them in the last minute",
                kills=1,
                new_kills=1,
            )
        )
    if throttled:
        said = f"throttled {throttled:.0%} of periods by cpu.max of {path}: 0.5 cores"
        found.append(one("cpu_throttled", "critical", said.replace("%", " %", 1), ratio=throttled))
    said = f"memory at {memory_ratio:.0%} of 434M set by memory.max of {path}"
    found.append(
        one("memory_near_limit", "warning", said.replace("%", " %", 1), ratio=memory_ratio)
    )
    return tuple(found)


def rootfs(number, *, layers=4, step=0):
    top = f"/var/lib/docker/overlay2/{number:02x}"
    stack = [Layer(role="merged", index=None, path=f"{top}/merged", digest=None, size_bytes=None)]
    stack.append(
        Layer(role="upper", index=None, path=f"{top}/diff", digest=None, size_bytes=4_300_000)
    )
    for index in range(layers):
        stack.append(
            Layer(
                role="lower",
                index=index,
                path=f"/var/lib/docker/overlay2/l{index}/diff",
                digest="sha256:" + f"{index:02x}" * 32,
                size_bytes=7_800_000 * (index + 1),
                shared_by=("02" * 32, "03" * 32) if index >= 2 else (),
            )
        )
    stack.append(Layer(role="work", index=None, path=f"{top}/work", digest=None, size_bytes=None))
    at = START - timedelta(minutes=3)
    files = (
        Change(
            path="/etc/passwd",
            kind="copied_up",
            size_bytes=1204,
            is_directory=False,
            layer=2,
            modified_at=at,
        ),
        Change(
            path="/srv/app/cache.db",
            kind="added",
            size_bytes=3_900_000,
            is_directory=False,
            layer=None,
            modified_at=at,
        ),
        Change(
            path="/etc/motd",
            kind="deleted",
            size_bytes=0,
            is_directory=False,
            layer=1,
            modified_at=at,
        ),
        Change(
            path="/var/cache",
            kind="opaque",
            size_bytes=4096,
            is_directory=True,
            layer=1,
            modified_at=at,
        ),
        Change(
            path="/srv/app/config.yml",
            kind="modified",
            size_bytes=812,
            is_directory=False,
            layer=3,
            modified_at=at,
        ),
        Change(
            path="/usr/bin/jq",
            kind="metacopy",
            size_bytes=31_000,
            is_directory=False,
            layer=3,
            modified_at=at,
        ),
    )
    return Rootfs(
        driver="overlay",
        path=f"{top}/merged",
        read_only=False,
        layers=tuple(stack),
        changes=Changes(
            added=12,
            modified=3,
            copied_up=1,
            deleted=2,
            opaque=1,
            complete=True,
            size_bytes=4_300_000 + 80_000 * step,
            growth_bytes_per_second=80_000.0,
            files=files,
        ),
    )


def containers(step=0) -> tuple[Container, ...]:
    wave = 0.5 + 0.5 * math.sin(step / 9)
    first = step == 0
    shop = {"com.docker.compose.project": "shop"}
    web_memory = 38 * MIB + wave * 4 * MIB
    web = container(
        "web",
        1,
        image="nginx:1.27",
        labels=shop,
        rootfs=rootfs(1, step=step),
        shared_with={"net": ("02" * 32,)},
        resources=Resources(
            cpu=cpu(None if first else 0.05 + 0.3 * wave**4),
            memory=memory(web_memory, 64 * MIB, by="/docker/" + "01" * 32),
            io=io(None if first else 0.0, None if first else 12_000.0 * wave),
            pids=Pids(5, 50, "/docker/" + "01" * 32),
            pressure=pressure(0.01),
            network=network(None if first else 1_200_000.0 * wave, None if first else 340_000.0),
        ),
    )
    sidecar = container(
        "sidecar",
        2,
        image="envoy:1.30",
        labels=shop,
        namespaces={**container("x", 2).namespaces, "net": web.namespaces["net"]},
        shared_with={"net": (web.id,)},
        resources=Resources(
            cpu=cpu(None if first else 0.02),
            memory=memory(21 * MIB, 128 * MIB, by="/docker/" + "02" * 32),
            io=io(0.0, 0.0),
            pids=Pids(9, None, None),
            pressure=pressure(0.0),
            network=network(None if first else 1_200_000.0 * wave, None if first else 340_000.0),
        ),
    )
    worker_path = "/docker/" + "03" * 32
    worker = container(
        "worker",
        3,
        image="shop/worker:9",
        labels=shop,
        findings=findings(
            worker_path,
            throttled=None if first else 0.71,
            memory_ratio=(400 + 12 * wave) / 434,
            kills=step > 40,
        ),
        resources=Resources(
            cpu=cpu(None if first else 0.5, 0.5, by=worker_path, throttled=None if first else 0.71),
            memory=memory(
                400 * MIB + 12 * MIB * wave, 434 * MIB, by=worker_path, kills=1 if step > 40 else 0
            ),
            io=io(None if first else 3_100_000.0, 0.0),
            pids=Pids(12, 50, worker_path),
            pressure=pressure(0.42, 0.04),
            network=network(0.0, 0.0),
        ),
    )
    cache = container(
        "cache",
        4,
        image="redis:7",
        status="paused",
        resources=Resources(
            cpu=cpu(0.0),
            memory=memory(21 * MIB),
            io=io(0.0, 0.0),
            pids=Pids(4, None, None),
            pressure=pressure(0.0),
            network=network(0.0, 0.0),
        ),
    )
    return (web, sidecar, worker, cache, *_others(step, wave, first=first))


def _others(step, wave, *, first):
    pod = "/kubepods/burstable/pod5d"
    api = container(
        "api",
        5,
        engine="containerd",
        engine_namespace="k8s.io",
        pod="default/api-5d",
        image="registry/api:1.4",
        path=f"{pod}/{'05' * 32}",
        resources=Resources(
            cpu=cpu(None if first else 0.31 + 0.1 * wave, 2.0, by=pod, throttled=0.0),
            memory=memory(190 * MIB, 512 * MIB, by=pod),
            io=io(0.0, 51_000.0),
            pids=Pids(31, 4096, pod),
            pressure=pressure(0.02),
            network=network(20_000.0, 8_000.0),
        ),
    )
    batch = container(
        "batch-7f",
        6,
        engine="containerd",
        engine_namespace="k8s.io",
        status="stopped",
        exit_code=137,
        pid=None,
        pids=(),
        shim=None,
        finished_at=START - timedelta(hours=1),
    )
    demo = container(
        "demo",
        7,
        engine="cinspect",
        engine_namespace="default",
        image="@host",
        started_at=START - timedelta(seconds=42),
        runtime="io.containerd.cinspect.v1",
        path="/cinspect/demo",
        resources=Resources(
            cpu=cpu(None if first else 0.01),
            memory=memory(3 * MIB, 64 * MIB, by="/cinspect/demo"),
            io=io(0.0, 0.0),
            pids=Pids(2, 32, "/cinspect/demo"),
            pressure=pressure(0.0),
            network=network(0.0, 0.0),
        ),
    )
    alone = container(
        "unshare·21844",
        8,
        id="unshare-21844",
        engine=None,
        engine_namespace=None,
        image=None,
        image_digest=None,
        rootfs=None,
        runtime=None,
        shim=None,
        pid=21844,
        pids=(21844,),
        command=("bash",),
        path="/user.slice/user-1000.slice",
        security=security(privileged=True, uid=1000),
        shared_with_host=("net", "ipc", "uts", "time", "cgroup"),
        namespaces={**HOST_NS, "mnt": 4026532801, "pid": 4026532802, "user": 4026532803},
        evidence=("21844 is 1 inside", "its user, pid and mnt differ from the host's"),
        started_at=START - timedelta(minutes=11),
        resources=Resources(
            cpu=cpu(0.0),
            memory=memory(3 * MIB, 1024 * MIB, by="/user.slice"),
            io=io(0.0, 0.0),
            pids=Pids(1, None, None),
            pressure=None,
            network=None,
        ),
    )
    return (api, batch, demo, alone)


def hostile() -> Container:
    """Return a container whose every text attacks the terminal, the markup or the layout."""
    bad = "[red]\x1b[2J\u202egpj.exe\u200b\n\x07界界[/]"
    return container(
        bad,
        9,
        id="hostile",
        image=bad,
        command=(bad, "--\x9b31m"),
        labels={bad: bad, "com.docker.compose.project": bad},
        path=f"/docker/{bad}",
        evidence=(bad,),
        runtime=bad,
        resources=Resources(
            cpu=cpu(0.1, 1.0, by=bad),
            memory=memory(MIB, 2 * MIB, by=bad),
            io=None,
            pids=None,
            pressure=None,
            network=None,
        ),
    )


def processes(found: Sequence[Container]) -> tuple[Process, ...]:
    rows = [process(1, 0, "systemd", HOST_NS, None)]
    for one in found:
        for place, pid in enumerate(one.pids):
            parent = 1 if place == 0 else one.pids[0]
            rows.append(
                process(pid, parent, one.name, one.namespaces, one.id, inside=(pid, place + 1))
            )
    return tuple(rows)


def process(pid, ppid, comm, namespaces, owner, *, inside=None):
    return Process(
        pid=pid,
        ppid=ppid,
        namespace_pids=inside or (pid,),
        uid=0,
        comm=comm[:15],
        command=(comm, f"--worker={pid}"),
        state="S",
        started_at=START - timedelta(days=2),
        cgroups={},
        namespaces=namespaces,
        container=owner,
        threads=1,
        cpu_seconds=1.0,
        busy_cores=0.02,
        rss_bytes=12 * MIB,
    )


def namespaces(found: Sequence[Container]) -> tuple[Namespace, ...]:
    holders: dict[int, tuple[str, list[Container]]] = {
        inode: (kind, []) for kind, inode in HOST_NS.items()
    }
    for one in found:
        if one.status == "stopped":
            continue
        for kind, inode in one.namespaces.items():
            if inode is not None:
                holders.setdefault(inode, (kind, []))[1].append(one)
    rows = [namespace(inode, kind, owners) for inode, (kind, owners) in holders.items()]
    rows.append(namespace(4026532302, "net", [], pins=("bind /run/netns/blue",)))
    return tuple(rows)


def namespace(inode, kind, owners, *, pins=()):
    host = inode in HOST_NS.values()
    users = {one.namespaces["user"] for one in owners} - {inode}
    return Namespace(
        inode=inode,
        type=kind,
        parent=HOST_NS[kind] if kind in {"pid", "user"} and not host else None,
        owner_user_ns=None
        if inode == HOST_NS["user"]
        else HOST_NS["user"]
        if host or kind == "user"
        else next(iter(users), HOST_NS["user"]),
        owner_uid=0,
        processes=sum(len(one.pids) for one in owners) + (142 if host else 0),
        pids=tuple(pid for one in owners for pid in one.pids) + ((1,) if host else ()),
        containers=tuple(one.id for one in owners),
        pinned_by=pins,
        uid_map=((IdMapping(0, 1000, 1),) if not host else IDENTITY) if kind == "user" else None,
        gid_map=IDENTITY if kind == "user" else None,
        host=host,
    )


def cgroups(found: Sequence[Container]) -> tuple[Cgroup, ...]:
    rows: dict[str, Cgroup] = {}
    for one in found:
        path = one.cgroups.get("")
        if path is None or one.resources is None:
            continue
        parts = path.strip("/").split("/")
        for depth in range(len(parts)):
            above = "/" + "/".join(parts[:depth])
            rows.setdefault(above, cgroup(above, None))
        rows[path] = cgroup(path, one)
    return tuple(rows[path] for path in sorted(rows))


def cgroup(path: str, owner: Container | None) -> Cgroup:
    used = owner.resources if owner else None
    return Cgroup(
        path=path,
        hierarchy="",
        inode=1000 + sum(map(ord, path)),
        controllers=("cpu", "memory", "io", "pids"),
        populated=True,
        frozen=owner.status == "paused" if owner else False,
        processes=len(owner.pids) if owner else 0,
        container=owner.id if owner else None,
        cpu=used.cpu
        if used
        else cpu(1.2, 2.0 if "pod" in path and path != "/kubepods" else None, by=path),
        memory=used.memory if used else memory(700 * MIB),
        io=used.io if used else io(100_000.0, 3_000.0),
        pids=used.pids if used else Pids(60, None, None),
        pressure=used.pressure if used else pressure(0.03),
        findings=owner.findings if owner else (),
        **_depth(path, owner),
    )


def _depth(path: str, owner: Container | None) -> dict[str, object]:
    """Return what cgroup version 2 tells besides; the one of all Docker's keeps removed ones."""
    deep: dict[str, object] = {"type": "domain", "subtree_control": ("cpu", "memory")}
    if owner is None:
        deep |= {"descendants": 4, "dying_descendants": 150 if path == "/docker" else 0}
    return deep


def interfaces(found: Sequence[Container]) -> tuple[Interface, ...]:
    rows = []
    seen = set()
    for number, one in enumerate(found):
        inode = one.namespaces.get("net")
        if inode is None or inode in seen or "net" in one.shared_with_host:
            continue
        seen.add(inode)
        rows.append(
            Interface(
                namespace=inode,
                interface="eth0",
                index=2,
                kind="veth",
                up=True,
                peer=Peer(HOST_NS["net"], f"veth{number:02x}a"),
                addresses=(f"172.17.0.{number + 2}/16",),
                rx_bytes=10**8,
                tx_bytes=10**7,
                rx_packets=10,
                tx_packets=10,
                rx_errors=0,
                tx_errors=0,
                rx_dropped=0,
                tx_dropped=0,
                container=one.id,
            )
        )
    return tuple(rows)


def network_namespaces(found: Sequence[Container]) -> tuple[NetworkNamespace, ...]:
    rows = []
    for number, one in enumerate(found):
        inode = one.namespaces.get("net")
        if inode is None or "net" in one.shared_with_host or inode in {row.inode for row in rows}:
            continue
        rows.append(
            NetworkNamespace(
                inode=inode,
                host=False,
                container=one.id,
                containers=(one.id,),
                default_routes=(Route("0.0.0.0/0", "172.17.0.1", "eth0", 0),),
                routes=2,
                tcp_states={"listen": 1, "established": 3 + number},
                listeners=(
                    Listener(
                        protocol="tcp",
                        address="0.0.0.0",
                        port=8080 + number,
                        uid=0,
                        inode=9000 + number,
                        pids=one.pids[:1],
                        command="sh" if one.pids else None,
                        container=one.id,
                    ),
                ),
                connections=(),
            )
        )
    return tuple(rows)


MOUNTS = (
    ("/", "overlay", "root", {}),
    ("/proc", "proc", "kernel", {}),
    (
        "/data",
        "ext4",
        "volume",
        {"device": "254:0", "host_path": "/srv/volumes/data", "spreads": "slave"},
    ),
    ("/tmp", "tmpfs", "tmpfs", {"device": "0:90", "size_limit_bytes": 64 * MIB}),
)


FILESYSTEMS = (
    MountedFilesystem(
        device="254:0", fstype="ext4", source="/dev/vda", size_bytes=262_144 * MIB, used_bytes=25_600 * MIB,
        available_bytes=204_800 * MIB, inodes=16_777_216, inodes_used=502_217, containers=("1", "2"),
    ),
    MountedFilesystem(
        device="0:90", fstype="tmpfs", source="tmpfs", size_bytes=64 * MIB, used_bytes=62 * MIB,
        available_bytes=2 * MIB, inodes=1_000_000, inodes_used=7, containers=("1",),
    ),
)  # fmt: skip


def mounts(found: Sequence[Container]) -> tuple[Mount, ...]:
    rows = []
    for one in found:
        inode = one.namespaces.get("mnt")
        if inode is None or "mnt" in one.shared_with_host:
            continue
        for place, (point, fstype, kind, more) in enumerate(MOUNTS):
            rows.append(
                Mount(
                    mount_id=place + 10,
                    parent_id=10,
                    namespace=inode,
                    root="/" if fstype != "ext4" else "/srv/volumes/data",
                    mountpoint=point,
                    fstype=fstype,
                    source=fstype,
                    options=("rw",),
                    super_options=(),
                    propagation=(),
                    container=one.id,
                    depth=min(place, 1),
                    kind=kind,
                    **more,
                )
            )
    return tuple(rows)


def event(seconds, source, topic, owner, body: Mapping[str, object] | None = None) -> Event:
    return Event(
        timestamp=START - timedelta(minutes=2) + timedelta(seconds=seconds),
        source=source,
        topic=topic,
        engine_namespace="default",
        container=owner,
        event=dict(body or {}),
    )


def events(step=0) -> tuple[Event, ...]:
    demo, worker = "07" * 32, "03" * 32
    found = [
        event(0.101, "cinspect", "/snapshot/prepare", demo, {"key": "demo", "layers": 4}),
        event(0.104, "cinspect", "/containers/create", demo, {"id": demo, "image": "@host"}),
        event(
            0.109,
            "shim 30112",
            "/tasks/create",
            demo,
            {"pid": 20700, "bundle": "/run/cinspect/demo"},
        ),
        event(0.111, "shim 30112", "/tasks/start", demo, {"pid": 20700}),
        event(42.77, "kernel", "oom", worker, {"limit": "434M", "killed": [20377], "comm": "node"}),
        event(
            43.0,
            "docker",
            "die",
            worker,
            {"exitCode": "137", "Attributes": {"image": "shop/worker:9"}},
        ),
        event(44.2, "docker", "start", worker, {"image": "shop/worker:9"}),
        event(60.0, "docker", "pause", "04" * 32),
    ]
    found += [
        event(
            120 + 5 * number, "shim 30112", "/tasks/exec-started", demo, {"exec_id": f"e{number}"}
        )
        for number in range(step // 5)
    ]
    return tuple(found)


def frame(step=0, found: Sequence[Container] | None = None) -> Frame:
    """Return the host at a step; the first one has no rates yet."""
    found = containers(step) if found is None else tuple(found)
    return Frame(
        taken_at=START + timedelta(seconds=step),
        cost=Cost(wall_seconds=0.02, cpu_seconds=0.008, files_read=61),
        host=Host(
            hostname="web-7",
            kernel="6.18.2",
            boot_id="x",
            uptime_seconds=90000.0,
            cpus=8,
            memory_bytes=16 * 1024 * MIB,
            memory_available_bytes=7 * 1024 * MIB,
            cpu_busy_cores=1.4,
            os="Debian 12",
            cgroup=HostCgroup(
                "unified", (CgroupHierarchy(2, "/sys/fs/cgroup", ("cpu", "memory", "io", "pids")),)
            ),
            init_namespaces=HOST_NS,
        ),
        engines=tuple(
            Engine(
                name=name,
                version="1",
                address=f"/run/{name}.sock",
                reachable=reachable,
                error=problem,
                containers=2,
            )
            for name, reachable, problem in (
                ("docker", True, None),
                ("containerd", True, None),
                ("podman", False, None),
                ("cinspect", True, None),
            )
        ),
        containers=tuple(found),
        namespaces=namespaces(found),
        cgroups=cgroups(found),
        mounts=mounts(found),
        filesystems=FILESYSTEMS,
        processes=processes(found),
        network=interfaces(found),
        network_namespaces=network_namespaces(found),
        images=(),
        events=events(step),
        errors=(
            Problem(
                path="/proc/77/ns/net",
                operation="readlink",
                error="denied",
                message="not permitted",
            ),
        )
        if step % 2
        else (),
    )


def many(count: int, processes_each: int = 20, cgroups_each: int = 4) -> Frame:
    """Return a large host: `count` containers, each with so many processes and cgroups."""
    small = containers(1)[0]
    found = tuple(
        container(
            f"load-{number:04d}",
            number,
            id=f"load-{number:04d}",
            path=f"/load/{number % 25}/c{number}",
            resources=small.resources,
            pids=tuple(range(100_000 + number * 100, 100_000 + number * 100 + processes_each)),
            pid=100_000 + number * 100,
        )
        for number in range(count)
    )
    whole = frame(1, found)
    extra = tuple(
        cgroup(f"/load/{number % 25}/c{number}/part{part}", found[number])
        for number in range(count)
        for part in range(cgroups_each - 1)
    )
    return Frame(
        **{
            **{name: getattr(whole, name) for name in whole.__struct_fields__},
            "cgroups": (*(whole.cgroups or ()), *extra),
        }
    )


class Canned:
    """A source that yields the frames it was given, then waits until it is told to end."""

    def __init__(self, *frames: Frame, interval: float = 1.0, then_end: bool = False) -> None:
        import asyncio

        self._frames = frames
        self._interval = interval
        self._then_end = then_end
        self._gone = asyncio.Event()

    @property
    def interval(self) -> float:
        return self._interval

    async def frames(self) -> AsyncIterator[Frame]:
        import asyncio

        for one in self._frames:
            yield one
            await asyncio.sleep(0)
        if not self._then_end:
            await self._gone.wait()


class Recorder:
    """A control that notes what it was asked for; `refusal` makes every action fail with it."""

    def __init__(self, *, read_only: bool = False, refusal: str | None = None) -> None:
        self.read_only = read_only
        self.refusal = refusal
        self.done: list[tuple[object, ...]] = []
        self.files = CannedFiles(self._note)

    def _note(self, *what: object) -> None:
        if self.refusal is not None:
            raise ActionFailed(self.refusal)
        self.done.append(what)

    async def start(self, request: StartRequest) -> str:
        self._note("start", request)
        return "ab" * 32

    async def freeze(self, container: Container) -> None:
        self._note("freeze", container.name)

    async def thaw(self, container: Container) -> None:
        self._note("thaw", container.name)

    async def signal(self, container: Container, signal: int) -> None:
        self._note("signal", container.name, signal)

    async def remove(self, container: Container, *, force: bool) -> None:
        self._note("remove", container.name, force)

    def exec_argv(self, container: Container, command: Sequence[str]) -> tuple[str, ...]:
        return ("cinspect", "exec", "-it", container.name, *command)

    def equivalent(self, action: str, container: Container) -> str:
        words = {"signal": "kill", "remove": "rm", "exec": "exec -it"}
        return f"cinspect {words.get(action, action)} {container.name}"

    async def layers(self, container: Container) -> LayerReport:
        self._note("layers", container.name)
        sizes = {
            layer.path: 7_000_000 for layer in container.rootfs.layers if layer.role == "upper"
        }
        return LayerReport(sizes=sizes, changes=container.rootfs.changes.files, complete=True)
