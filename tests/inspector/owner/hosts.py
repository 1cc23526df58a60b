"""A canned host with two containers, for questions about it: addresses, sockets, layers, mounts."""

from collections.abc import Mapping

from msgspec import structs

from collectors.kernel import layers, ports, sockets
from collectors.kernel.layers import LayersReading
from collectors.kernel.network import Interface, NamespaceNetwork
from collectors.kernel.ports import Forward, ForwardsReading
from collectors.kernel.sockets import NamespaceSockets, Socket, SocketsReading
from collectors.lookups import DescriptorFacts, OpenFiles, PathFacts
from collectors.overlay.records import Overlay
from inspector.derive import derive
from inspector.owner import question
from inspector.owner.facts import Facts
from inspector.owner.model import Report
from inspector.owner.resolve import resolve
from tests.inspector.canned import HOST, A, B, Host, mount, overlay, own

WEB, DB = A, B
NET_WEB, NET_DB = own(1)["net"], own(2)["net"]


def link(name: str, index: int, *addresses: str, kind: str = "veth", **more: object) -> Interface:
    """Return an interface."""
    fields: dict[str, object] = {
        "up": True,
        "mac": None,
        "peer_index": None,
        "peer_namespace_id": None,
        "counters": {},
        **more,
    }
    return Interface(name=name, index=index, kind=kind, addresses=addresses, **fields)


def listener(port: int, inode: int, *, address: str = "0.0.0.0", protocol: str = "tcp") -> Socket:
    """Return what listens."""
    state = "listen" if protocol == "tcp" else "close"
    return Socket(protocol, state, address, port, "0.0.0.0", 0, 0, inode)


def talk(near: tuple[str, int], far: tuple[str, int], inode: int) -> Socket:
    """Return one end of a connection."""
    return Socket("tcp", "established", *near, *far, 0, inode)


def space(namespace: int, *all_sockets: Socket) -> NamespaceSockets:
    """Return a namespace's sockets."""
    return NamespaceSockets(
        namespace=namespace,
        pid=1,
        listeners=tuple(one for one in all_sockets if one.listens),
        connections=tuple(one for one in all_sockets if not one.listens),
        states={},
        default_routes=(),
        routes=0,
    )


def host() -> Host:
    """Return the host: web with pids 100 and 101, db with 200, a service of the host's with 50."""
    made = Host()
    made.process(50, 1, "sshd", cgroup="/system.slice/ssh.service")
    made.process(
        60, 1, "docker-proxy", "docker-proxy", "-proto", "tcp", "-host-ip", "0.0.0.0",
        "-host-port", "8080", "-container-ip", "172.17.0.2", "-container-port", "80",
    )  # fmt: skip
    made.process(
        90,
        1,
        "containerd-shim",
        "/usr/bin/containerd-shim-runc-v2",
        "-namespace",
        "moby",
        "-id",
        WEB,
    )
    made.process(91, 90, "hook")
    web, db = f"/system.slice/docker-{WEB}.scope", f"/system.slice/docker-{DB}.scope"
    made.process(100, 90, "nginx", "nginx", "-g", "x", ns=own(1), inside=[1], cgroup=web)
    made.process(101, 100, "nginx", ns=own(1), inside=[7], cgroup=web)
    made.process(200, 1, "postgres", ns=own(2), inside=[1], cgroup=db)
    made.group("/", inode=1)
    made.group("/system.slice", inode=2)
    made.group(web, inode=3)
    made.group(db, inode=4)
    made.root(HOST["mnt"], mount(1, "/"), mount(2, "/srv", device="8:2"))
    made.root(
        own(1)["mnt"],
        overlay(31),
        mount(32, "/data", device="8:2", root="/volumes/web"),
        mount(33, "/etc/hosts", root="/lib/hosts of web"),
    )
    made.root(own(2)["mnt"], overlay(41), mount(42, "/data", device="8:2", root="/volumes/db"))
    made.networks = [
        NamespaceNetwork(
            HOST["net"],
            1,
            (
                link("lo", 1, "127.0.0.1/8", kind="loopback"),
                link("eth0", 2, "192.168.0.5/24", kind="ether"),
                link("docker0", 3, "172.17.0.1/16", kind="bridge"),
                link("veth1a", 7, peer_index=8, peer_namespace=NET_WEB, master_index=3),
                link("veth9z", 9, peer_index=2),
            ),
        ),
        NamespaceNetwork(
            NET_WEB,
            100,
            (link("eth0", 8, "172.17.0.2/16", peer_index=7, peer_namespace=HOST["net"]),),
        ),
        NamespaceNetwork(NET_DB, 200, (link("lo", 1, "127.0.0.1/8", kind="loopback"),)),
    ]
    return made


def facts(
    made: Host | None = None,
    *,
    paths: Mapping[str, PathFacts] | None = None,
    descriptors: Mapping[tuple[int, int], DescriptorFacts] | None = None,
    opened: OpenFiles | None = None,
    holders: Mapping[int, tuple[int, ...]] | None = None,
) -> Facts:
    """Return what is known of the host, with its sockets and layers."""
    sample = (made or host()).sample()
    extra = {
        sockets.KEY.name: SocketsReading(
            (
                space(HOST["net"], listener(22, 501), listener(8080, 502)),
                space(
                    NET_WEB,
                    listener(80, 601),
                    listener(53, 602, protocol="udp", address="127.0.0.1"),
                    talk(("172.17.0.2", 40000), ("192.0.2.9", 443), 603),
                ),
                space(NET_DB, listener(5432, 701)),
            ),
            {
                501: (50,),
                502: (60,),
                601: (100, 101),
                602: (101,),
                603: (101,),
                **(holders or {}),
            },
            complete=True,
        ),
        ports.KEY.name: ForwardsReading(
            HOST["net"],
            (
                Forward(
                    protocol="udp",
                    address=None,
                    port=5353,
                    to_address="172.17.0.2",
                    to_port=53,
                    rule="ip nat DOCKER",
                ),
                Forward(
                    protocol="sctp",
                    address=None,
                    port=9000,
                    last_port=9010,
                    to_address="172.17.0.2",
                    to_port=90,
                    to_last_port=100,
                    rule="ip nat DOCKER",
                    by="legacy iptables",
                ),
            ),
        ),
        layers.KEY.name: LayersReading(
            (
                _overlay(own(1)["mnt"], "web", "/store/base"),
                _overlay(own(2)["mnt"], "db", "/store/base"),
            ),
            (),
        ),
    }
    sample = structs.replace(sample, readings={**sample.readings, **extra})
    return Facts(
        derive(None, sample),
        paths=paths or {},
        descriptors=descriptors or {},
        open_files=opened,
    )


def ask(what: str, known: Facts | None = None) -> Report:
    """Return the report on one WHAT."""
    return resolve(what, question.parse(what), known or facts())


def at(
    path: str, *, real: str | None = None, kind: str | None = "file", inode: int = 77
) -> PathFacts:
    """Return what is at a path."""
    problem = None if kind else "No such file or directory"
    return PathFacts(path=path, real=real or path, kind=kind, inode=inode, problem=problem)


def _overlay(namespace: int, name: str, *lower: str) -> Overlay:
    return Overlay(
        namespace=namespace,
        merged=f"/store/{name}/merged",
        lowerdirs=lower,
        upperdir=f"/store/{name}/upper",
        workdir=f"/store/{name}/work",
        device="0:31",
        options=(),
    )
