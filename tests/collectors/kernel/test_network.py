"""Network namespaces: their counters, and real links whose ends are in two of them."""

import contextlib
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager

import pyroute2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.formats import net_dev
from collectors.kernel import namespaces, network
from collectors.links import rtnetlink
from collectors.members import Members
from collectors.root import Root
from collectors.table import Table
from runtime.errors import FormatError
from tests.collectors.kernel import made

HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast"
    "|bytes    packets errs drop fifo colls carrier compressed\n"
)
LINE = "  eth0:     1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"


def test_the_counters_of_a_line_are_named_by_direction():
    assert net_dev.parse((HEAD + LINE).encode()) == {
        "eth0": {
            "rx_bytes": 1,
            "rx_packets": 2,
            "rx_errors": 3,
            "rx_dropped": 4,
            "tx_bytes": 9,
            "tx_packets": 10,
            "tx_errors": 11,
            "tx_dropped": 12,
        }
    }


def test_a_number_may_touch_the_name():
    assert net_dev.parse((HEAD + LINE.replace(": ", ":")).encode())["eth0"]["rx_bytes"] == 1


@pytest.mark.parametrize(
    "text", ["", HEAD[:-1], HEAD + LINE[:-1], HEAD + "eth0: 1 2\n", HEAD + LINE.replace("4", "x")]
)
def test_a_torn_file_is_refused(text):
    with pytest.raises(FormatError, match="net/dev"):
        net_dev.parse(text.encode())


@given(st.binary())
def test_whatever_the_bytes_the_answer_is_counters_or_a_format_error(data):
    try:
        found = net_dev.parse(HEAD.encode() + data)
    except FormatError:
        return
    assert all(set(counters) == set(net_dev.COUNTERS) for counters in found.values())


def test_a_recorded_tree_has_counters_by_namespace_and_no_details(tmp_path):
    for pid, inode in ((7, 100), (9, 100), (8, 200)):
        directory = tmp_path / "proc" / str(pid)
        (directory / "ns").mkdir(parents=True)
        (directory / "ns" / "net").symlink_to(f"net:[{inode}]")
        (directory / "net").mkdir()
        (directory / "net" / "dev").write_text(HEAD + LINE.replace("eth0", f"eth{pid}"))
    for reader in (network.read, network.read_links):
        reading = reader(Root(str(tmp_path)))
        assert [(one.namespace, one.pid) for one in reading.namespaces] == [(100, 7), (200, 8)]
        (interface,) = reading.namespaces[0].interfaces
        assert (interface.name, interface.index, interface.kind) == ("eth7", None, None)
        assert interface.counters["tx_packets"] == 10


def test_a_torn_file_of_a_namespace_is_a_problem(tmp_path):
    (tmp_path / "proc" / "7" / "ns").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "ns" / "net").symlink_to("net:[100]")
    (tmp_path / "proc" / "7" / "net").mkdir()
    (tmp_path / "proc" / "7" / "net" / "dev").write_text(HEAD + LINE[:20])
    reading = network.read(Root(str(tmp_path)))
    assert [(one.path, one.error) for one in reading.problems] == [("/proc/7/net/dev", "format")]


@contextmanager
def netns(script="true"):
    """Run a process in a network namespace of its own; yield its pid."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", f"{script} && echo ready && read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def inode_of(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def of_namespace(reading, inode):
    (found,) = [one for one in reading.namespaces if one.namespace == inode]
    return {interface.name: interface for interface in found.interfaces}


@pytest.mark.root
def test_counters_count_what_a_namespace_really_sent():
    send = "import socket; [socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9)) for _ in 'abc']"
    with netns(f'ip link set lo up && {sys.executable} -S -c "{send}"') as pid:
        interfaces = of_namespace(network.read(Root()), inode_of(pid))
    assert set(interfaces) == {"lo"}
    assert interfaces["lo"].counters["tx_packets"] >= 3
    assert interfaces["lo"].counters["tx_bytes"] == interfaces["lo"].counters["rx_bytes"] > 0


@pytest.mark.root
def test_both_ends_of_a_veth_know_each_other():
    make = (
        "ip link add v0 type veth peer name v1 && ip addr add 10.1.1.1/24 dev v0 && "
        "ip -6 addr add fd00::1/64 dev v0 nodad && ip link set v0 up"
    )
    with netns(make) as first, netns() as second:
        move = ["nsenter", f"--target={first}", "--net", "ip", "link", "set", "v1", "netns"]
        subprocess.run([*move, str(second)], check=True)
        reading = network.read_links(Root())
        here = of_namespace(reading, inode_of(first))["v0"]
        there = of_namespace(reading, inode_of(second))["v1"]
        second_inode, first_inode = inode_of(second), inode_of(first)
    assert (here.kind, here.up, there.up) == ("veth", True, False)
    assert set(here.addresses) >= {"10.1.1.1/24", "fd00::1/64"}
    assert (here.peer_index, here.peer_namespace) == (there.index, second_inode)
    assert (there.peer_index, there.peer_namespace) == (here.index, first_inode)
    assert here.peer_namespace_id is not None
    assert set(here.counters) == set(net_dev.COUNTERS)


@pytest.mark.root
def test_a_veth_whose_ends_are_in_one_namespace_has_its_peer_there():
    with netns("ip link add v0 type veth peer name v1") as pid:
        inode = inode_of(pid)
        links = of_namespace(network.read_links(Root()), inode)
    assert links["v0"].peer_index == links["v1"].index
    assert links["v0"].peer_namespace == inode
    assert links["v0"].peer_namespace_id is None
    assert (links["lo"].peer_index, links["lo"].kind) == (None, "loopback")


@pytest.mark.root
def test_ip_link_says_the_same_of_every_link():
    make = (
        "ip link add b0 type bridge && ip link add v0 type veth peer name v1 && "
        "ip link set v0 master b0 up && ip addr add 10.0.0.1/30 dev b0 && ip link set lo up"
    )
    with netns(make) as pid:
        said = subprocess.run(
            ["nsenter", f"--target={pid}", "--net", "ip", "-j", "-d", "-s", "addr"],
            capture_output=True,
            check=True,
        )
        links = of_namespace(network.read_links(Root()), inode_of(pid))
    listed = {one["ifname"]: one for one in json.loads(said.stdout)}
    assert set(links) == set(listed)
    for name, one in listed.items():
        link = links[name]
        assert link.index == one["ifindex"]
        assert link.mac == one["address"]
        assert link.kind == one.get("linkinfo", {}).get("info_kind", one["link_type"])
        assert link.up == ("UP" in one["flags"])
        assert set(link.addresses) == {
            f"{address['local']}/{address['prefixlen']}" for address in one["addr_info"]
        }


@pytest.mark.root
def test_pyroute2_says_the_same_of_every_link():
    make = (
        "ip link add b0 type bridge && ip link add v0 type veth peer name v1 && "
        "ip link set v0 master b0 up && ip link set v1 mtu 1400 up && "
        "ip addr add 10.0.0.1/30 dev b0 && ip -6 addr add fd00::1/64 dev v1 nodad"
    )
    with netns(make) as pid:
        with pyroute2.NetNS(f"/proc/{pid}/ns/net", flags=0) as route:
            listed, addresses = route.get_links(), route.get_addr()
        links = of_namespace(network.read_links(Root()), inode_of(pid))
    assert set(links) == {one.get("IFLA_IFNAME") for one in listed} == {"lo", "b0", "v0", "v1"}
    for one in listed:
        link = links[one.get("IFLA_IFNAME")]
        kind = one.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "loopback"
        assert (link.index, link.kind, link.mtu) == (one["index"], kind, one.get("IFLA_MTU"))
        assert (link.mac, link.master_index) == (one.get("IFLA_ADDRESS"), one.get("IFLA_MASTER"))
        assert link.peer_index == one.get("IFLA_LINK")
        assert set(link.addresses) == {
            f"{each.get('IFA_LOCAL') or each.get('IFA_ADDRESS')}/{each['prefixlen']}"
            for each in addresses
            if each["index"] == one["index"]
        }


@pytest.mark.root
def test_details_are_asked_for_again_when_links_change_or_their_time_has_come(monkeypatch):
    def inside(*command):
        subprocess.run(["nsenter", f"--target={pid}", "--net", *command], check=True)

    def links():
        return of_namespace(reader.read(Root()), inode)

    with netns("ip link add v0 type veth peer name v1") as pid:
        inode = inode_of(pid)
        reader = network.LinkReader()
        monkeypatch.setattr(network, "_REST", 1e9)
        assert links()["v0"].addresses == ()
        inside("ip", "addr", "add", "10.9.9.9/32", "dev", "v0")
        assert links()["v0"].addresses == ()
        inside("ip", "link", "add", "b0", "type", "bridge")
        found = links()
        assert found["b0"].kind == "bridge"
        assert found["v0"].addresses == ("10.9.9.9/32",)
        inside("ip", "addr", "del", "10.9.9.9/32", "dev", "v0")
        monkeypatch.setattr(network, "_REST", 0)
        assert links()["v0"].addresses == ()


@pytest.mark.root
def test_counters_are_of_now_whatever_is_remembered(monkeypatch):
    monkeypatch.setattr(network, "_REST", 1e9)
    send = "import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9))"
    with netns("ip link set lo up") as pid:
        reader = network.LinkReader()
        before = of_namespace(reader.read(Root()), inode_of(pid))["lo"]
        subprocess.run(
            ["nsenter", f"--target={pid}", "--net", sys.executable, "-S", "-c", send], check=True
        )
        after = of_namespace(reader.read(Root()), inode_of(pid))["lo"]
    assert after.counters["tx_packets"] > before.counters["tx_packets"]
    assert after.addresses == before.addresses == ("127.0.0.1/8", "::1/128")


@pytest.mark.root
def test_the_kernel_asked_directly_counts_as_the_file_does():
    send = "import socket; [socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9)) for _ in 'abc']"
    with netns(f'ip link set lo up && {sys.executable} -S -c "{send}"') as pid:
        root, inode = Root(), inode_of(pid)
        asked = of_namespace(network.read_links(root), inode)["lo"]
        read = of_namespace(network.read(root), inode)["lo"]
    assert read.index is None
    assert asked.index == 1
    assert asked.counters == read.counters
    assert asked.counters["tx_packets"] >= 3


@pytest.mark.root
def test_of_a_namespace_that_is_asked_no_file_is_read():
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(netns()) for _ in range(10)]
        table = Table()
        spaces, who, root = namespaces.Reader(table), Members(table=table), Root()
        spaces.read(root)
        before = root.reads.files
        reading = network.LinkReader(who).read(root)
        assert root.reads.files - before < len(pids)
        assert all(of_namespace(reading, inode_of(pid))["lo"].index == 1 for pid in pids)


@pytest.mark.root
def test_reading_links_leaves_the_reader_where_it_was_and_nothing_open():
    network.read_links(Root())
    before = sorted(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    own = os.stat("/proc/thread-self/ns/net").st_ino
    with netns():
        network.read_links(Root())
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads
    assert os.stat("/proc/thread-self/ns/net").st_ino == own


@pytest.mark.root
def test_without_the_right_to_enter_a_namespace_its_counters_remain():
    network.read_links(Root())  # loads what another user could not load from here
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            reading = network.read_links(Root())
            counted = [len(one.interfaces) for one in reading.namespaces]
            said = json.dumps([[one.error for one in reading.problems], counted])
            os.write(send, said.encode())
        finally:
            os._exit(0)
    os.close(send)
    os.waitpid(child, 0)
    with os.fdopen(receive) as answer:
        problems, interfaces = json.loads(answer.read())
    assert "denied" in problems
    assert all(count >= 1 for count in interfaces)


LOOPBACK = """
import fcntl, socket, struct
unshare(NEWNET)
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(one, 0x8914, struct.pack("16sH14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running, loopback
say("ready")
while os.read(0, 1):
    one.sendto(b"x" * 100, ("127.0.0.1", 9))
    say("sent")
"""


@pytest.mark.root
@pytest.mark.parametrize("quick", [False, True], ids=["proc", "iterator"])
def test_a_namespace_at_rest_has_the_record_of_before_and_what_it_sends_is_seen_at_once(quick):
    root, table = Root(), Table(quick=quick)
    spaces = namespaces.Reader(table)
    reader = network.LinkReader(Members(table=table))
    command = [sys.executable, "-I", "-S", "-c", made.PRELUDE + LOOPBACK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:

        def counted():
            spaces.read(root)
            (one,) = (one for one in reader.read(root).namespaces if one.pid == child.pid)
            return one

        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        seen = [counted() for _ in range(12)]
        assert any(one is other for one, other in itertools.pairwise(seen))
        assert seen[-1].interfaces[0].index == 1
        before = counted().interfaces[0].counters["tx_bytes"]
        child.stdin.write(b"x")
        child.stdin.flush()
        assert child.stdout.readline() == b"sent\n"
        assert counted().interfaces[0].counters["tx_bytes"] > before
        child.stdin.close()


@given(st.binary(max_size=200))
def test_whatever_the_bytes_of_rtnetlink_the_answer_is_a_link_or_a_format_error(data):
    with contextlib.suppress(FormatError):
        assert rtnetlink.parse_link(data, {}, 1).peer_namespace in {None, 1}
    with contextlib.suppress(FormatError):
        index, address = rtnetlink.parse_address(data)
        assert index >= 0
        assert address is None or "/" in address


def test_an_address_of_a_wrong_length_is_refused():
    torn = struct.pack("=BBBBIHH2s2x", socket.AF_INET, 24, 0, 0, 7, 6, 2, b"\x0a\x00")
    with pytest.raises(FormatError, match="2 bytes"):
        rtnetlink.parse_address(torn)


def test_a_link_without_the_larger_counters_has_the_smaller_ones():
    stats = struct.pack("=8I", *range(1, 9))
    body = struct.pack("=BxHiIIHH", 0, 1, 7, 1, 0, 4 + len(stats), 7) + stats
    link = rtnetlink.parse_link(body, {7: ["10.0.0.1/8"]}, 1)
    assert (link.index, link.kind, link.up, link.addresses) == (7, "ether", True, ("10.0.0.1/8",))
    assert link.counters["rx_packets"] == 1
    assert link.counters["tx_bytes"] == 4
    assert link.counters["tx_dropped"] == 8


@pytest.mark.parametrize(("attribute", "form"), [(23, "=16Q"), (7, "=16I")])
def test_what_a_link_missed_is_among_what_it_dropped_as_in_its_file(attribute, form):
    stats = struct.pack(form, *range(1, 17))
    head = struct.pack("=BxHiIIHH", 0, 1, 7, 1, 0, 4 + len(stats), attribute)
    link = rtnetlink.parse_link(head + stats, {}, 1)
    assert link.counters["rx_dropped"] == 7 + 16
    assert link.counters["tx_dropped"] == 8
