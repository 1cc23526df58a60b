"""Rules that pass ports on: made with iptables or nft in a network namespace of the test's own."""

import contextlib
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kernel import ports
from collectors.netlink import legacy, nat, sets
from collectors.root import Root
from runtime.errors import FormatError
from tests import requirements

READ = """
import json, msgspec
from collectors.kernel import ports
from collectors.root import Root
print(json.dumps(msgspec.to_builtins(ports.ForwardsReader().read(Root()))))
"""
MAKE = r"""
import socket, struct, sys
def attr(kind, value):
    if isinstance(value, int): value = value.to_bytes(4, "big")
    if isinstance(value, str): value = value.encode() + b"\0"
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)
def nest(kind, *parts): return attr(kind | 0x8000, b"".join(parts))
def expr(name, *parts): return nest(1, attr(1, name), nest(2, *parts))
def value(kind, data): return nest(kind, attr(1, data))
def message(kind, flags, body, seq, family=2, res=0):
    data = struct.pack("=BBH", family, 0, socket.htons(res)) + body
    return struct.pack("=IHHII", 16 + len(data), kind, flags | 1, seq, 0) + data
NFT = 10 << 8
"""
"""How requests to nftables are put together."""
ONE_RULE = r"""
rule = b"".join([
    expr("meta", attr(1, 1), attr(2, 16)),           # register 1 = l4proto
    expr("cmp", attr(1, 1), attr(2, 0), value(3, b"\x06")),
    expr("payload", attr(1, 1), attr(2, 2), attr(3, 2), attr(4, 2)),
    expr("cmp", attr(1, 1), attr(2, 0), value(3, (8080).to_bytes(2, "big"))),
    expr("immediate", attr(1, 1), value(2, socket.inet_aton("10.88.0.2"))),
    expr("immediate", attr(1, 2), value(2, (80).to_bytes(2, "big"))),
    expr("nat", attr(1, 1), attr(2, 2), attr(3, 1), attr(5, 2)),
])
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.send(message(16, 0, b"", 1, 0, 10)
    + message(NFT | 0, 0x400 | 4, attr(1, "own"), 2)
    + message(NFT | 3, 0x400 | 4, attr(1, "own") + attr(3, "pre") + nest(4, attr(1, 0), attr(2, (-100) & 0xffffffff)) + attr(7, "nat"), 3)
    + message(NFT | 6, 0xC00 | 4, attr(1, "own") + attr(2, "pre") + nest(4, rule), 4)
    + message(17, 0, b"", 5, 0, 10))
s.settimeout(5)
for _ in range(3):
    (error,) = struct.unpack_from("=i", s.recv(65536), 16)
    assert error == 0, error
"""
SETS = r"""
def port(number): return number.to_bytes(2, "big")
def pair(address, number): return socket.inet_aton(address) + port(number) + bytes(2)
def element(key, data=None, flags=0, end=None):
    parts = [value(1, key)]
    parts += [value(2, data)] if data else []
    parts += [attr(3, flags)] if flags else []
    parts += [value(10, end)] if end else []
    return nest(1, *parts)
def made(name, number, flags, key, *elements, data=0, fields=()):
    head = attr(1, "own") + attr(2, name) + attr(3, flags) + attr(4, 13) + attr(5, key)
    head += attr(6, 7) + attr(7, data) if data else b""
    sizes = [nest(1, attr(1, size)) for size in fields]
    head += nest(9, nest(2, *sizes)) if fields else b""
    head += attr(10, number)
    return [(NFT | 9, head), (NFT | 12, attr(1, "own") + attr(2, name) + nest(3, *elements))]
TCP = expr("meta", attr(1, 1), attr(2, 16)) + expr("cmp", attr(1, 1), attr(2, 0), value(3, b"\x06"))
DPORT = expr("payload", attr(1, 1), attr(2, 2), attr(3, 2), attr(4, 2))
SECOND = expr("payload", attr(1, 9), attr(2, 2), attr(3, 2), attr(4, 2))
DADDR = expr("payload", attr(1, 1), attr(2, 1), attr(3, 16), attr(4, 4))
SADDR = expr("payload", attr(1, 1), attr(2, 1), attr(3, 12), attr(4, 4))
PROTOCOL = expr("meta", attr(1, 1), attr(2, 16))
ADDRESS = expr("immediate", attr(1, 1), value(2, socket.inet_aton("10.0.0.5")))
TO = expr("nat", attr(1, 1), attr(2, 2), attr(3, 1))
TO_BOTH = expr("nat", attr(1, 1), attr(2, 2), attr(3, 1), attr(5, 9))
def lookup(name, *more): return expr("lookup", attr(1, name), attr(2, 1), *more)
MAP = attr(3, 1)
INTERVAL, IS_MAP, CONCAT = 4, 8, 0x80
def verdict(chain, code=-4): return nest(2, nest(2, attr(1, code & 0xffffffff), attr(2, chain)))
def chain(name): return (NFT | 3, attr(1, "own") + attr(3, name))
def leads(name, number, key, *ways):
    elements = [nest(1, value(1, key), verdict(chain)) for key, chain in ways]
    (_, head), filled = made(name, number, IS_MAP, key, *elements, data=0)
    return [(NFT | 9, head + attr(6, 0xffffff00) + attr(7, 16)), filled]
GO = expr("immediate", attr(1, 0), verdict("plain", -3))
WHERE = expr("fib", attr(1, 1), attr(2, 3), attr(3, 2)) + expr("cmp", attr(1, 1), attr(2, 0), value(3, (2).to_bytes(4, sys.byteorder)))
NUMBER = expr("numgen", attr(1, 1), attr(2, 2), attr(3, 1))
def to(address): return expr("immediate", attr(1, 1), value(2, socket.inet_aton(address))) + TO
requests = [
    (NFT | 0, attr(1, "own")),
    *map(chain, ("service", "one", "two", "plain", "nowhere")),
    (NFT | 3, attr(1, "own") + attr(3, "pre") + nest(4, attr(1, 0), attr(2, (-100) & 0xffffffff)) + attr(7, "nat")),
    # tcp dport map { 80 : 10.0.0.2 . 8080, 443 : 10.0.0.3 . 8443 }
    *made("m", 1, IS_MAP, 2, element(port(80), pair("10.0.0.2", 8080)),
          element(port(443), pair("10.0.0.3", 8443)), data=8),
    # tcp dport { 100-200, 300, 65000-65535 }
    *made("s", 2, INTERVAL, 2, element(port(100)), element(port(201), flags=1), element(port(300)),
          element(port(301), flags=1), element(port(65000))),
    # ip daddr . tcp dport map { 10.1.1.1 . 22 : 10.0.0.8 . 2222 }
    *made("a", 3, IS_MAP, 8, element(pair("10.1.1.1", 22), pair("10.0.0.8", 2222)), data=8),
    # meta l4proto . th dport map { udp . 53 : 10.0.0.9 . 5353 }
    *made("p", 4, IS_MAP, 8, element(b"\x11\0\0\0" + port(53) + bytes(2), pair("10.0.0.9", 5353)), data=8),
    # ip daddr . tcp dport map { 10.1.1.3 . 90-95 : 10.0.0.14 . 9000 }
    *made("r", 5, IS_MAP | INTERVAL | CONCAT, 8,
          element(pair("10.1.1.3", 90), pair("10.0.0.14", 9000), end=pair("10.1.1.3", 95)), data=8, fields=(4, 2)),
    # ip saddr { 10.9.9.9 }
    # meta l4proto . th dport vmap { tcp . 30080 : goto service }
    *leads("ports", 7, 8, (b"\x06\0\0\0" + port(30080) + bytes(2), "service")),
    # numgen random mod 2 vmap { 0 : goto one, 1 : goto two }
    *leads("ends", 8, 4, (bytes(4), "one"), ((1).to_bytes(4, sys.byteorder), "two")),
    *made("from", 6, 0, 4, element(socket.inet_aton("10.9.9.9"))),
]
for rule in (
    TCP + DPORT + lookup("m", MAP) + TO_BOTH,
    TCP + DPORT + lookup("s") + ADDRESS + TO,
    TCP + DADDR + SECOND + lookup("a", MAP) + TO_BOTH,
    PROTOCOL + SECOND + lookup("p", MAP) + TO_BOTH,
    TCP + DADDR + SECOND + lookup("r", MAP) + TO_BOTH,
    TCP + SADDR + lookup("from") + DPORT + expr("cmp", attr(1, 1), attr(2, 0), value(3, port(7))) + ADDRESS + TO,
    TCP + DPORT + lookup("s", attr(5, 1)) + ADDRESS + TO,
    TCP + SADDR + lookup("from") + DPORT + lookup("s"),
):
    requests.append((NFT | 6, attr(1, "own") + attr(2, "pre") + nest(4, rule)))
for where, rule in (
    ("pre", DADDR + WHERE + PROTOCOL + SECOND + lookup("ports", attr(3, 0))),
    ("service", NUMBER + lookup("ends", attr(3, 0))),
    ("one", to("10.0.0.21")),
    ("two", TCP + to("10.0.0.22")),
    ("pre", TCP + DPORT + expr("cmp", attr(1, 1), attr(2, 0), value(3, port(8))) + GO),
    ("plain", to("10.0.0.23")),
    ("nowhere", to("10.0.0.24")),
):
    requests.append((NFT | 6, attr(1, "own") + attr(2, where) + nest(4, rule)))
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
batch = message(16, 0, b"", 1, 0, 10)
for number, (kind, body) in enumerate(requests):
    batch += message(kind, 0xC00 | 4, body, number + 2)
s.send(batch + message(17, 0, b"", 99, 0, 10))
s.settimeout(5)
for number in range(len(requests)):
    (error,) = struct.unpack_from("=i", s.recv(65536), 16)
    assert error == 0, (number, error)
"""
HERE = Path(__file__).parent.parent.parent.parent


def forwards(*rules: str) -> list[dict[str, object]]:
    """Return what is read of a new network namespace in which these commands were run."""
    script = " && ".join([*rules, 'exec "$0" -c "$1"'])
    done = subprocess.run(
        ("unshare", "--net", "sh", "-c", script, sys.executable, READ),
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    if "Protocol not supported" in done.stderr or "Failed to initialize nft" in done.stderr:
        requirements.absent_here("this kernel has no nftables")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["problems"] == []
    return said["forwards"]


def nft_of_iptables() -> None:
    requirements.commands("iptables")
    if "nf_tables" not in subprocess.check_output(("iptables", "--version"), text=True):
        requirements.absent_here("iptables here writes legacy tables")


@pytest.mark.root
def test_rules_of_iptables_are_understood_as_docker_writes_them():
    nft_of_iptables()
    found = forwards(
        "iptables -t nat -N DOCKER",
        "iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 "
        "-j DNAT --to-destination 172.17.0.2:80",
        "iptables -t nat -A DOCKER -d 127.0.0.9/32 -p udp --dport 53 "
        "-j DNAT --to-destination 172.17.0.3:5353",
        "iptables -t nat -A DOCKER -p tcp --dport 443 -j DNAT --to-destination 172.17.0.5",
    )
    assert [
        (one["protocol"], one["address"], one["port"], one["to_address"], one["to_port"])
        for one in found
    ] == [
        ("tcp", None, 8080, "172.17.0.2", 80),
        ("udp", "127.0.0.9", 53, "172.17.0.3", 5353),
        ("tcp", None, 443, "172.17.0.5", 443),
    ]
    assert {one["rule"] for one in found} == {"ip nat DOCKER"}


@pytest.mark.root
def test_rules_of_ip6tables_have_their_addresses():
    nft_of_iptables()
    (one,) = forwards(
        "ip6tables -t nat -A PREROUTING -p tcp --dport 81 -j DNAT --to-destination [fd00::2]:80"
    )
    assert (one["to_address"], one["to_port"], one["rule"]) == ("fd00::2", 80, "ip6 nat PREROUTING")


@pytest.mark.root
def test_a_rule_of_nftables_own_expressions_is_understood(tmp_path):
    # As `tcp dport 8080 dnat to 10.88.0.2:80`; iptables has expressions of its own kind.
    make = tmp_path / "make.py"
    make.write_text(MAKE + ONE_RULE)
    (one,) = forwards(f"{sys.executable} {make}")
    assert (one["protocol"], one["port"]) == ("tcp", 8080)
    assert (one["to_address"], one["to_port"], one["rule"]) == ("10.88.0.2", 80, "ip own pre")


@pytest.mark.root
def test_sets_maps_and_jumps_of_nftables_are_understood(tmp_path):
    make = tmp_path / "make.py"
    make.write_text(MAKE + SETS)
    found = forwards(f"{sys.executable} {make}")
    assert sorted(
        (
            one["protocol"],
            one["address"],
            one["port"],
            one["last_port"],
            one["to_address"],
            one["to_port"],
        )
        for one in found
        if one["address"] is None
    ) == [
        ("tcp", None, 7, None, "10.0.0.5", 7),
        ("tcp", None, 8, None, "10.0.0.23", 8),
        ("tcp", None, 80, None, "10.0.0.2", 8080),
        ("tcp", None, 100, 200, "10.0.0.5", 100),
        ("tcp", None, 300, None, "10.0.0.5", 300),
        ("tcp", None, 443, None, "10.0.0.3", 8443),
        ("tcp", None, 30080, None, "10.0.0.21", 30080),
        ("tcp", None, 30080, None, "10.0.0.22", 30080),
        ("tcp", None, 65000, 65535, "10.0.0.5", 65000),
        ("udp", None, 53, None, "10.0.0.9", 5353),
    ]
    assert [
        (one["address"], one["port"], one["last_port"], one["to_address"], one["to_port"])
        for one in found
        if one["address"] is not None
    ] == [
        ("10.1.1.1", 22, None, "10.0.0.8", 2222),
        ("10.1.1.3", 90, 95, "10.0.0.14", 9000),
    ]


IPTABLES = ("iptables-nft", "iptables-legacy")
"""The same rules, in the two ways that the kernel keeps them."""


def through(tool: str, *rules: str) -> list[tuple[object, ...]]:
    """Return what is passed on by rules of the nat table: protocol, address, ports, to where, by what."""
    requirements.commands(tool)
    if tool.endswith("nft"):
        nft_of_iptables()
    elif subprocess.run(
        ("unshare", "--net", tool, "-t", "nat", "-L"), capture_output=True, check=False
    ).returncode:
        requirements.absent_here("this kernel has no legacy tables")
    found = forwards(*(f"{tool} -t nat {rule}" for rule in rules))
    by = "legacy iptables" if tool.endswith("legacy") else "nftables"
    assert {one["by"] for one in found} <= {by}
    return [
        (
            one["protocol"],
            one["address"],
            one["port"],
            one["last_port"],
            one["to_address"],
            one["to_port"],
            one["to_last_port"],
        )
        for one in found
    ]


@pytest.mark.root
@pytest.mark.parametrize("tool", IPTABLES)
def test_both_kinds_of_iptables_are_understood_with_every_protocol_and_range(tool):
    found = through(
        tool,
        "-N DOCKER",
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
        "-A DOCKER -d 127.0.0.9/32 -p udp --dport 53 -j DNAT --to-destination 172.17.0.3:5353",
        "-A DOCKER -p sctp --dport 90 -j DNAT --to-destination 172.17.0.3",
        "-A DOCKER -p tcp --dport 9000:9010 -j DNAT --to-destination 10.0.0.4",
        "-A DOCKER -p tcp --dport 9100:9102 -j DNAT --to-destination 10.0.0.4:80-90/9100",
        "-A DOCKER -p tcp --dport 9200:9202 -j DNAT --to-destination 10.0.0.4:7",
        "-A DOCKER -p tcp -m multiport --dports 1,5:7 -j DNAT --to-destination 10.0.0.4",
    )
    assert found == [
        ("tcp", None, 8080, None, "172.17.0.2", 80, None),
        ("udp", "127.0.0.9", 53, None, "172.17.0.3", 5353, None),
        ("sctp", None, 90, None, "172.17.0.3", 90, None),
        ("tcp", None, 9000, 9010, "10.0.0.4", 9000, 9010),
        ("tcp", None, 9100, 9102, "10.0.0.4", 80, 82),
        ("tcp", None, 9200, 9202, "10.0.0.4", 7, None),
        ("tcp", None, 1, None, "10.0.0.4", 1, None),
        ("tcp", None, 5, 7, "10.0.0.4", 5, 7),
    ]


@pytest.mark.root
@pytest.mark.parametrize("tool", ["ip6tables-nft", "ip6tables-legacy"])
def test_both_kinds_of_ip6tables_have_the_address_that_a_port_is_for(tool):
    assert through(
        tool, "-A OUTPUT -d fd00::9/128 -p udp --dport 53 -j DNAT --to-destination [fd00::2]:54"
    ) == [("udp", "fd00::9", 53, None, "fd00::2", 54, None)]


@pytest.mark.root
@pytest.mark.parametrize("tool", IPTABLES)
def test_other_rules_pass_nothing_on(tool):
    assert (
        through(
            tool,
            "-A PREROUTING -p tcp ! --dport 99 -j DNAT --to-destination 10.0.0.4:1",
            "-A PREROUTING -p tcp --sport 99 -j DNAT --to-destination 10.0.0.4:1",
            "-A PREROUTING -p sctp ! --dport 99 -j DNAT --to-destination 10.0.0.4:1",
            "-A PREROUTING -p tcp -m multiport --sports 1,2 -j DNAT --to-destination 10.0.0.4",
            "-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.4:1",
            "-A PREROUTING -p tcp --dport 99 -j REDIRECT --to-ports 1",
            "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
        )
        == []
    )


@pytest.mark.root
def test_looking_makes_no_table_of_legacy_iptables():
    requirements.commands("unshare")
    script = 'test -e /proc/net/ip_tables_names && "$0" -c "$1" && cat /proc/net/ip_tables_names'
    done = subprocess.run(
        ("unshare", "--net", "sh", "-c", script, sys.executable, READ),
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    if done.returncode:
        requirements.absent_here("this kernel has no legacy tables")
    (answer,) = done.stdout.splitlines()
    assert json.loads(answer)["forwards"] == []


@given(st.binary(max_size=600), st.sampled_from([legacy.IPV4, legacy.IPV6]))
def test_whatever_the_bytes_of_a_table_there_are_rules_or_a_format_error(data, family):
    with contextlib.suppress(FormatError):
        list(legacy.parse(family, data, {}))


@given(st.data())
def test_a_table_that_is_damaged_anywhere_is_rules_or_a_format_error(data):
    table = bytearray(TABLE)
    for _ in range(data.draw(st.integers(1, 8))):
        table[data.draw(st.integers(0, len(table) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        list(legacy.parse(legacy.IPV4, bytes(table), {}))


def entry(*parts: bytes, protocol: int = 6) -> bytes:
    """Return an entry of a table; the last part is its target."""
    head = struct.pack("=80xHBB", protocol, 0, 0)
    target_at = 112 + sum(map(len, parts[:-1]))
    length = target_at + len(parts[-1])
    return head + struct.pack("=IHHI16x", 0, target_at, length, 0) + b"".join(parts)


def part(name: bytes, data: bytes, revision: int = 0) -> bytes:
    """Return a match or a target."""
    return struct.pack("=H29sB", 32 + len(data), name, revision) + data


TO = struct.pack("=II4s4s", 1, 3, socket.inet_aton("10.0.0.2"), socket.inet_aton("10.0.0.2"))
TABLE = entry(part(b"ERROR", b"DOCKER".ljust(32, b"\0"))) + entry(
    part(b"tcp", struct.pack("=HHHH4x4x", 0, 65535, 80, 80)),
    part(b"DNAT", TO + struct.pack("!HH", 8080, 8080)),
)


def test_a_table_of_memory_is_read_as_the_kernel_lays_it_out():
    (one,) = legacy.parse(legacy.IPV4, TABLE, {})
    assert (one.protocol, one.port, one.to_address, one.to_port) == ("tcp", 80, "10.0.0.2", 8080)
    assert (one.rule, one.by) == ("ip nat DOCKER", "legacy iptables")


def test_a_recorded_tree_has_no_rules(tmp_path):
    assert ports.ForwardsReader().read(Root(str(tmp_path))) == ports.ForwardsReading(0, ())


def test_rules_are_not_read_again_at_once(monkeypatch):
    calls = []

    def read(root):
        calls.append(1)
        return ports.ForwardsReading(7, ())

    monkeypatch.setattr(ports, "_read", read)
    monkeypatch.setattr(ports, "_REST", 1e12)
    reader = ports.ForwardsReader()
    assert reader.read(Root()) is reader.read(Root())
    assert calls == [1]


@given(st.binary(max_size=300))
def test_whatever_the_bytes_there_is_a_rule_or_none_or_a_format_error(data):
    try:
        list(nat.passed_on([data]))
    except FormatError:
        return


@given(
    st.sampled_from(["meta", "payload", "cmp", "immediate", "lookup", "nat", "match", "target"]),
    st.binary(max_size=120),
)
def test_a_torn_expression_is_none_or_a_format_error(name, data):
    def attribute(kind, value):
        size = 4 + len(value)
        return (
            size.to_bytes(2, sys.byteorder)
            + kind.to_bytes(2, sys.byteorder)
            + value
            + bytes(-size % 4)
        )

    element = attribute(1, name.encode() + b"\0") + attribute(2, data)
    body = bytes([2, 0, 0, 0]) + attribute(4, attribute(1, element))
    try:
        assert list(nat.passed_on([body])) == []
    except FormatError:
        return


def attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def expression(name: str, *numbers: tuple[int, int | bytes]) -> bytes:
    parts = [
        attribute(kind, one if isinstance(one, bytes) else one.to_bytes(4, "big"))
        for kind, one in numbers
    ]
    return attribute(1, attribute(1, name.encode() + b"\0") + attribute(2, b"".join(parts)))


@given(st.lists(st.builds(sets.Element, *[st.binary(max_size=24)] * 4)))
def test_whatever_is_in_a_map_there_are_ports_or_none(elements):
    body = bytes([2, 0, 0, 0]) + attribute(
        4,
        expression("payload", (1, 1), (2, 1), (3, 16), (4, 4))
        + expression("payload", (1, 9), (2, 2), (3, 2), (4, 2))
        + expression("lookup", (1, b"m\0"), (2, 1), (3, 1))
        + expression("nat", (1, 1), (2, 2), (3, 1), (5, 9)),
    )
    asked = []

    def told(family, table, name):
        asked.append((family, table, name))
        return elements

    found = list(nat.passed_on([body], told))
    assert asked == [(2, b"", b"m\0")]
    assert len(found) <= len(elements)
    assert all(0 <= one.port <= 65535 and one.to_address.count(".") == 3 for one in found)
