"""Rules that pass ports on: made with iptables or nft in a network namespace of the test's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.kernel import ports
from collectors.netlink import nat
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
import socket, struct
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
    make.write_text(MAKE)
    (one,) = forwards(f"{sys.executable} {make}")
    assert (one["protocol"], one["port"]) == ("tcp", 8080)
    assert (one["to_address"], one["to_port"], one["rule"]) == ("10.88.0.2", 80, "ip own pre")


@pytest.mark.root
def test_other_rules_and_ranges_of_ports_pass_nothing_on():
    nft_of_iptables()
    assert (
        forwards(
            "iptables -t nat -A PREROUTING -p tcp --dport 9000:9010 -j DNAT --to-destination 10.0.0.4",
            "iptables -t nat -A PREROUTING -p tcp ! --dport 99 -j DNAT --to-destination 10.0.0.4:1",
            "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
            "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
        )
        == []
    )


def test_a_recorded_tree_has_no_rules(tmp_path):
    assert ports.ForwardsReader().read(Root(str(tmp_path))) == ports.ForwardsReading(0, ())


def test_rules_are_not_read_again_at_once(monkeypatch):
    calls = []

    def read():
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
        nat.parse(data)
    except FormatError:
        return


@given(
    st.sampled_from(["meta", "payload", "cmp", "immediate", "nat", "match", "target"]),
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
        assert nat.parse(body) is None
    except FormatError:
        return
