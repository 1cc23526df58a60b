"""Sockets of network namespaces: what listens, who holds it, and that both ways of asking agree."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import descriptors, netns
from collectors.formats import net_route, net_sockets
from collectors.kernel import namespaces, sockets
from collectors.members import Members
from collectors.netlink import messages, sock_diag
from collectors.netlink.records import Counts
from collectors.root import Root
from collectors.table import Table
from runtime.errors import FormatError

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTEN = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0\n"
SIX = "   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 77 1\n"
ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "eth0\t00FEFFA9\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
SERVER = """
import socket, sys
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
six = socket.socket(socket.AF_INET6); six.bind(("::1", 0)); six.listen()
near = socket.create_connection(tcp.getsockname()); far = tcp.accept()[0]
bound = socket.socket(); bound.bind(("127.0.0.1", 0))
print(tcp.getsockname()[1], udp.getsockname()[1], six.getsockname()[1], near.getsockname()[1], flush=True)
sys.stdin.read(1)
"""


@contextmanager
def server(*, own_namespace=True):
    """Run a server, by default in a network namespace of its own; yield its pid and its ports."""
    prelude = ["unshare", "--net"] if own_namespace else []
    code = f"import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up']){SERVER}"
    with subprocess.Popen(
        [*prelude, sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process.pid, [int(word) for word in process.stdout.readline().split()]
        finally:
            process.stdin.close()


def space_of(reading, pid):
    (found,) = [
        one
        for one in reading.namespaces
        if one.namespace == int(subprocess.check_output(["stat", "-Lc%i", f"/proc/{pid}/ns/net"]))
    ]
    return found


def test_a_line_of_tcp_is_a_socket():
    (found,) = net_sockets.parse((HEAD + LISTEN).encode(), "tcp")
    assert (found.address, found.port, found.state) == ("127.0.0.1", 8080, "listen")
    assert (found.uid, found.inode, found.listens) == (1000, 4242, True)


def test_an_ipv4_address_in_an_ipv6_socket_is_told_as_such():
    (found,) = net_sockets.parse((HEAD + SIX).encode(), "tcp")
    assert (found.address, found.remote_address) == ("127.0.0.1", "127.0.0.2")
    assert (found.state, found.listens) == ("established", False)


@pytest.mark.parametrize("text", ["", HEAD[:-1], HEAD + LISTEN[:-1], HEAD + LISTEN[:40] + "\n"])
def test_a_torn_table_of_sockets_is_refused(text):
    with pytest.raises(FormatError, match="net/tcp"):
        net_sockets.parse(text.encode(), "tcp")


def test_routes_have_prefix_lengths_and_refused_ones_are_left_out():
    found = net_route.parse(ROUTES.encode())
    assert [(one.destination, one.gateway, one.metric) for one in found] == [
        ("0.0.0.0/0", "192.168.1.1", 100),
        ("192.168.1.0/24", None, 0),
    ]
    assert [one.default for one in found] == [True, False]


@given(st.binary())
def test_whatever_the_bytes_there_are_routes_or_a_format_error(data):
    for parse in (net_route.parse, net_route.parse_v6):
        try:
            parse(data)
        except FormatError:
            continue


def test_sockets_are_counted_by_protocol_of_both_families():
    four = b"sockets: used 9\nTCP: inuse 2 orphan 0 tw 5 alloc 3 mem 0\nUDP: inuse 3 mem 0\n"
    six = b"TCP6: inuse 4\nUDP6: inuse 6\n"
    assert net_sockets.counts(four, six) == Counts(tcp=6, time_wait=5, udp=3, udp6=6)
    assert net_sockets.counts(four, b"") == Counts(tcp=2, time_wait=5, udp=3, udp6=0)


@pytest.mark.parametrize(
    "data", [b"", b"TCP: inuse 2\nUDP: inuse 3\n", b"TCP: inuse\n", b"TCP: inuse x\n"]
)
def test_a_torn_count_of_sockets_is_refused(data):
    with pytest.raises(FormatError, match="net/sockstat"):
        net_sockets.counts(data, b"")


@given(st.binary(), st.binary())
def test_whatever_the_bytes_there_are_counts_or_a_format_error(data, six):
    with contextlib.suppress(FormatError):
        net_sockets.counts(data, six)


@given(st.binary(max_size=200))
def test_whatever_the_datagram_there_are_messages_or_a_format_error(data):
    try:
        for message in messages.split(data):
            dict(messages.each(message.body))
            sock_diag.parse("tcp", message.body)
    except FormatError:
        return


def test_a_recorded_tree_without_tables_says_that_nothing_is_known(tmp_path):
    (tmp_path / "proc" / "7" / "ns").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "ns" / "net").symlink_to("net:[100]")
    (space,) = sockets.SocketReader().read(Root(str(tmp_path))).namespaces
    assert (space.listeners, space.states, space.routes) == (None, None, None)


def test_a_recorded_tree_is_read_by_its_files(tmp_path):
    process = tmp_path / "proc" / "7"
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "net").symlink_to("net:[100]")
    (process / "net").mkdir()
    (process / "net" / "tcp").write_text(HEAD + LISTEN)
    (process / "net" / "tcp6").write_text(HEAD + SIX)
    (process / "net" / "udp").write_text(HEAD)
    (process / "net" / "route").write_text(ROUTES)
    (process / "fd").mkdir()
    (process / "fd" / "3").symlink_to("socket:[4242]")
    reading = sockets.SocketReader().read(Root(str(tmp_path)))
    (space,) = reading.namespaces
    assert [one.port for one in space.listeners] == [8080]
    assert space.states == {"listen": 1, "established": 1}
    assert (space.routes, space.default_routes[0].gateway) == (2, "192.168.1.1")
    assert reading.holders == {4242: (7,)}
    assert reading.complete


def test_a_recorded_tree_that_counts_no_sockets_needs_no_tables_of_them(tmp_path):
    process = tmp_path / "proc" / "7"
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "net").symlink_to("net:[100]")
    (process / "net").mkdir()
    (process / "net" / "sockstat").write_text("TCP: inuse 0 tw 0\nUDP: inuse 0\n")
    (process / "net" / "tcp").write_text(HEAD + LISTEN)
    (space,) = sockets.SocketReader().read(Root(str(tmp_path))).namespaces
    assert (space.listeners, space.states) == ((), {})


def test_a_torn_table_of_a_namespace_is_a_problem(tmp_path):
    process = tmp_path / "proc" / "7"
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "net").symlink_to("net:[100]")
    (process / "net").mkdir()
    (process / "net" / "tcp").write_text(HEAD + LISTEN[:30])
    reading = sockets.SocketReader().read(Root(str(tmp_path)))
    assert [(one.path, one.error) for one in reading.problems] == [("/proc/7/net/tcp", "format")]


@pytest.mark.root
def test_a_namespace_that_never_had_a_route_is_read_too():
    command = ["unshare", "--net", "sh", "-c", "echo ready; read end"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            space = space_of(sockets.SocketReader().read(Root()), process.pid)
            assert (space.routes, space.default_routes, space.listeners) == (0, (), ())
        finally:
            process.stdin.close()


@contextmanager
def idle():
    """Run a process without sockets in a network namespace of its own; yield its pid."""
    command = ["unshare", "--net", "sh", "-c", "echo ready; read end"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.stdin.close()


@pytest.mark.root
def test_only_namespaces_with_sockets_are_entered(monkeypatch):
    entered = set()
    enter = netns.enter

    def entering(doors, protocol):
        entered.update(doors)
        return enter(doors, protocol)

    monkeypatch.setattr(netns, "enter", entering)
    with server() as (busy, _), idle() as quiet:
        reading = sockets.SocketReader().read(Root())
        space = space_of(reading, quiet)
        assert (space.listeners, space.connections, space.states) == ((), (), {})
        assert space.namespace not in entered
        assert space_of(reading, busy).namespace in entered


@pytest.mark.root
def test_of_a_namespace_without_a_socket_five_files_are_read():
    with idle() as pid:
        root, inode = Root(), os.stat(f"/proc/{pid}/ns/net").st_ino
        look = sockets._look(root, inode, [pid])
        assert (look.pid, look.counts, look.routes) == (pid, Counts(0, 0, 0, 0), ())
        assert root.reads.files == 5


HALF_OPEN = r"""
import subprocess
listening = socket.socket(); listening.bind(("127.0.0.1", 0))
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)  # no child before there is data
listening.listen()
client = socket.create_connection(listening.getsockname())
subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
client.close()  # nobody hears of it
print("ready", flush=True)
sys.stdin.read(1)
"""


@pytest.mark.root
def test_a_connection_that_is_half_open_is_found_in_its_turn_though_it_is_not_counted():
    code = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up'])"
    command = ["unshare", "--net", sys.executable, "-I", "-S", "-c"]
    with subprocess.Popen(
        [*command, f"{code}\nimport socket, sys{HALF_OPEN}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            reader = sockets.SocketReader(limits=sockets.Limits(rest=0.01))
            seen = [space_of(reader.read(Root()), process.pid) for _ in range(3)]
        finally:
            process.stdin.close()
    assert [len(one.listeners) for one in seen] == [1, 1, 1]
    assert seen[0].states == {"listen": 1}
    assert seen[-1].states == {"listen": 1, "syn-recv": 1}
    assert [one.state for one in seen[-1].connections] == ["syn-recv"]


class Asked:
    """A reader over a table, as a running sampler has it, and whom it asked."""

    def __init__(self, limits: sockets.Limits | None = None) -> None:
        self.root = Root()
        self.table = Table()
        self.spaces = namespaces.Reader(self.table)
        self.reader = sockets.SocketReader(Members(table=self.table), limits)

    def read(self):
        """Return the next reading, and how many files it took."""
        self.spaces.read(self.root)
        before = self.root.reads.files
        return self.reader.read(self.root), self.root.reads.files - before


@pytest.mark.root
def test_a_namespace_in_which_nothing_ran_is_asked_in_its_turn_alone(monkeypatch):
    looked = []
    look = sockets._look

    def looking(root, inode, pids):
        looked.append(inode)
        return look(root, inode, pids)

    monkeypatch.setattr(sockets, "_look", looking)
    with ExitStack() as stack:
        pids = [stack.enter_context(server())[0] for _ in range(12)]
        mine = {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in pids}
        asked, many = Asked(sockets.Limits(rest=5000)), []
        for _ in range(10):
            looked.clear()
            reading, _ = asked.read()
            many.append(len(mine.intersection(looked)))
        assert many[0] == 12
        assert sum(many[1:]) < 9 * 12 / 2
        assert all(len(space_of(reading, pid).listeners) == 3 for pid in pids)


@contextmanager
def apart(code):
    """Run code in a network namespace of its own, beside another one; it says 1 when it is there."""
    with (
        server(),
        subprocess.Popen(
            ["unshare", "--net", sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        try:
            assert process.stdout.readline() == b"1\n"
            yield process
        finally:
            process.stdin.close()


@pytest.mark.root
def test_what_a_process_begins_to_listen_on_is_seen_in_the_next_reading_though_others_rest():
    code = (
        "import socket, sys; print(1, flush=True); sys.stdin.read(1); "
        "s = socket.socket(); s.bind(('', 0)); s.listen(); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read(1)"
    )
    with apart(code) as process:
        asked = Asked()
        for _ in range(4):
            asked.read()
        assert space_of(asked.read()[0], process.pid).listeners == ()
        process.stdin.write(b"1")
        process.stdin.flush()
        port = int(process.stdout.readline())
        (found,) = space_of(asked.read()[0], process.pid).listeners
        assert found.port == port


@pytest.mark.root
def test_what_a_process_listened_on_is_gone_with_it_though_the_namespace_has_others():
    code = (
        "import os, signal, socket, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"  # it does not run when the child ends
        "child = os.fork()\n"
        "if not child:\n"
        "    s = socket.socket(); s.bind(('', 0)); s.listen(); print(1, flush=True); signal.pause()\n"
        "sys.stdin.read(1)\n"
    )
    with apart(code) as process:
        asked = Asked(sockets.Limits(rest=5000))
        for _ in range(4):
            asked.read()
        assert len(space_of(asked.read()[0], process.pid).listeners) == 1
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGKILL)
        while children.read_text():
            time.sleep(0.001)
        assert space_of(asked.read()[0], process.pid).listeners == ()


def test_listeners_and_connections_of_a_namespace_are_found_with_their_process():
    with server() as (pid, (tcp, udp, six, near)):
        reading = sockets.SocketReader().read(Root())
        space = space_of(reading, pid)
    listening = {(one.protocol, one.address, one.port): one for one in space.listeners}
    assert set(listening) == {
        ("tcp", "127.0.0.1", tcp),
        ("udp", "127.0.0.1", udp),
        ("tcp", "::1", six),
    }
    assert all(reading.holders[one.inode] == (pid,) for one in space.listeners)
    assert {(one.port, one.remote_port) for one in space.connections} == {(near, tcp), (tcp, near)}
    assert space.states == {"listen": 2, "established": 2}


@pytest.mark.root
def test_the_files_say_the_same_as_the_kernel_asked_directly():
    with server() as (pid, _), ExitStack() as stack:
        inode = space_of(sockets.SocketReader().read(Root()), pid).namespace
        opened, problems = netns.enter({inode: pid}, netns.SOCK_DIAG)
        assert not problems
        one = stack.enter_context(opened[inode])
        asked = {*sock_diag.listeners(one), *sock_diag.connections(one)}
        assert asked == set(sockets._of_files(Root(), pid))


@pytest.mark.root
def test_a_listener_that_is_new_is_found_with_its_process_though_the_scan_may_rest():
    reader = sockets.SocketReader(limits=sockets.Limits(rest=1e9))
    reader.read(Root())
    with server() as (pid, _):
        reading = reader.read(Root())
        assert {reading.holders[one.inode] for one in space_of(reading, pid).listeners} == {(pid,)}
    assert pid not in {pid for held in reader.read(Root()).holders.values() for pid in held}


@pytest.mark.root
def test_connections_that_there_is_no_time_for_are_not_said_to_be_none():
    with server() as (pid, _):
        space = space_of(sockets.SocketReader(limits=sockets.Limits(seconds=0)).read(Root()), pid)
    assert len(space.listeners) == 3
    assert (space.connections, space.states) == ((), None)


def test_a_scan_that_ran_out_of_its_budget_says_so():
    with socket.socket() as one:
        link = {f"socket:[{one.fileno()}]": 1}
        limits = descriptors.Limits(descriptors=0)
        assert descriptors.holders(Root(), link, [1], limits) == ({}, False)


def test_without_the_right_to_enter_the_files_are_read(monkeypatch):
    monkeypatch.setattr(netns, "enter", lambda pids, protocol: ({}, {}))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        reading = sockets.SocketReader().read(Root())
    found = [
        (space.namespace, listener)
        for space in reading.namespaces
        for listener in space.listeners or ()
        if listener.port == port
    ]
    assert [(space, listener.address) for space, listener in found] == [
        (netns.os.stat("/proc/self/ns/net").st_ino, "127.0.0.1")
    ]
