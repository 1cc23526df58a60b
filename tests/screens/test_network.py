"""The network section of a container's page: links, other ends, what listens; of the host's only its own."""

from msgspec import structs

from inspector.domains.network.model import Connection, Peer, Published
from inspector.history import History
from screens.container.network import network
from screens.moment import Moment
from tests.screens import frames

WORKER = "03" * 32


def lines(frame=None, identity: str = WORKER) -> str:
    moment = Moment(frame or frames.frame(3), History(), (), 1.0)
    section = network(moment.container_by_id[identity], moment)
    return "\n".join("".join(text for text, _ in line) for line in section)


def test_a_link_has_its_counters_addresses_and_other_end() -> None:
    text = lines()
    assert "eth0" in text
    assert "172.17.0." in text
    assert "(the host)" in text
    assert "default route  via 172.17.0.1 by eth0" in text


def test_what_listens_has_its_process() -> None:
    assert "/tcp" in lines()
    assert "sh 20300" in lines()
    assert "established" in lines()


def test_a_shared_namespace_shows_no_counters_of_others() -> None:
    frame = frames.frame(3)
    shared = next(one for one in frame.containers if "net" in one.shared_with_host)
    text = lines(frame, shared.id)
    assert "no counters of its own" in text
    assert "rx" not in text


def test_what_could_not_be_read_is_not_said_to_be_nothing() -> None:
    frame = frames.frame(3)
    spaces = tuple(structs.replace(one, listeners=None) for one in frame.network_namespaces)
    assert "could not be read" in lines(structs.replace(frame, network_namespaces=spaces))


def test_errors_and_drops_stand_out_and_a_lost_end_is_said() -> None:
    frame = frames.frame(3)
    links = tuple(
        structs.replace(one, rx_dropped=7, peer=Peer(None, None), up=False) for one in frame.network
    )
    text = lines(structs.replace(frame, network=links))
    assert "0 errors, 7 dropped" in text
    assert "somewhere that may not be entered" in text
    assert " down" in text


def test_published_ports_and_bridges_are_told() -> None:
    frame = frames.frame(3)
    inode = next(one for one in frame.containers if one.id == WORKER).namespaces["net"]
    ours = next(one for one in frame.network if one.namespace == inode)
    host = frame.host.init_namespaces["net"]
    end = structs.replace(ours, namespace=host, interface=ours.peer.interface, master="br0")
    passed = Published(
        protocol="tcp", address="0.0.0.0", port=9090, to_address="172.17.0.9", to_port=90,
        container=WORKER, by="docker-proxy, pid 5",
    )  # fmt: skip
    many = structs.replace(
        passed, address="::", port=9100, last_port=9102, to_port=7, to_last_port=9
    )
    both = (passed, many)
    spaces = (
        structs.replace(frame.network_namespaces[0], inode=host, host=True, published=both),
        *frame.network_namespaces,
    )
    text = lines(structs.replace(frame, network=(*frame.network, end), network_namespaces=spaces))
    assert "0.0.0.0:9090/tcp → 90" in text
    assert "[::]:9100-9102/tcp → 7-9" in text
    assert "(the host, a port of br0)" in text


def talking(identity: str, count: int = 1) -> tuple[Connection, ...]:
    return tuple(
        Connection(
            protocol="tcp",
            state="time_wait" if place == 0 else "established",
            address="172.17.0.3",
            port=40000 + place,
            remote_address="2001:db8::9" if place == 1 else "10.0.0.9",
            remote_port=5432,
            inode=1,
            pids=(20300,),
            container=identity,
        )
        for place in range(count)
    )


def test_who_is_talked_to_is_told_what_is_open_first() -> None:
    frame = frames.frame(3)
    inode = next(one for one in frame.containers if one.id == WORKER).namespaces["net"]
    spaces = tuple(
        structs.replace(one, connections=talking(WORKER, 12)) if one.inode == inode else one
        for one in frame.network_namespaces
    )
    text = lines(structs.replace(frame, network_namespaces=spaces))
    first = text[text.index("connected") :].splitlines()[0]
    assert "172.17.0.3:40002 → 10.0.0.9:5432/tcp  established  pid 20300" in first
    assert "… and 4 more" in text
    assert "time_wait" not in text


def test_of_the_host_s_namespace_only_its_own_connections_are_told() -> None:
    frame = frames.frame(3)
    shared = next(one for one in frame.containers if "net" in one.shared_with_host)
    ours, others = talking(shared.id, 2), talking(WORKER, 3)[2:]
    host = structs.replace(
        frame.network_namespaces[0],
        inode=shared.namespaces["net"],
        host=True,
        connections=(*ours, *others),
    )
    text = lines(structs.replace(frame, network_namespaces=(host,)), shared.id)
    assert "[2001:db8::9]:5432" in text
    assert "40002" not in text
