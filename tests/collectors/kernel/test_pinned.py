"""Network namespaces that no process is in: mounted ones and open ones, asked as `ip` asks them."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.kernel import namespaces, pinned
from collectors.root import Root
from tests import requirements
from tests.collectors.kernel import made

pytestmark = pytest.mark.root

HOLDING = """
import os
own = os.open("/proc/self/ns/net", os.O_RDONLY)
unshare(NEWNET)
held = os.open("/proc/self/ns/net", os.O_RDONLY)
import subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
import socket
listener = socket.socket()
listener.bind(("127.0.0.1", 4321))
listener.listen()
setns(own)
say(os.fstat(held).st_ino, held)
wait()
"""


@contextmanager
def named() -> Iterator[str]:
    """Make a network namespace as `ip netns add` does."""
    requirements.commands("ip")
    name = f"cinspect-test-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def ip(name: str, *words: str) -> None:
    subprocess.run(["ip", "-n", name, *words], check=True)


def read() -> tuple[pinned.PinnedReading, namespaces.Reader]:
    spaces = namespaces.Reader()
    spaces.read(Root())
    return pinned.Reader(lambda: spaces.empty_networks).read(Root()), spaces


def test_a_mounted_namespace_has_its_links_addresses_routes_and_counters():
    with named() as name, named() as other:
        inode = os.stat(f"/run/netns/{name}").st_ino
        ip(name, "link", "set", "lo", "up")
        ip(name, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", other)
        ip(name, "addr", "add", "10.77.0.1/24", "dev", "v0")
        ip(name, "link", "set", "v0", "up")
        ip(other, "link", "set", "v1", "up")
        ip(name, "route", "add", "default", "via", "10.77.0.2")
        reading, _ = read()
        told = json.loads(
            subprocess.run(["ip", "-n", name, "-j", "addr"], check=True, capture_output=True).stdout
        )
    (links,) = [one for one in reading.links if one.namespace == inode]
    mine = {one.name: one for one in links.interfaces}
    theirs = {one["ifname"]: one for one in told}
    assert set(mine) == set(theirs) == {"lo", "v0"}
    for each, one in mine.items():
        assert one.index == theirs[each]["ifindex"]
        assert one.mac == theirs[each]["address"]
        assert {f"{a['local']}/{a['prefixlen']}" for a in theirs[each]["addr_info"]} >= set(
            one.addresses
        )
        assert one.counters["rx_dropped"] >= 0
    assert "10.77.0.1/24" in mine["v0"].addresses
    (sockets,) = [one for one in reading.sockets if one.namespace == inode]
    (default,) = sockets.default_routes
    assert (default.gateway, default.interface) == ("10.77.0.2", "v0")
    assert sockets.listeners == ()


def test_an_open_namespace_has_its_listeners():
    requirements.commands("ip")
    with made.process(HOLDING) as (_, (inode, _)):
        reading, _ = read()
        (sockets,) = [one for one in reading.sockets if one.namespace == int(inode)]
    assert [(one.protocol, one.port) for one in sockets.listeners or ()] == [("tcp", 4321)]


def test_this_process_stays_where_it_is_and_leaves_nothing_open():
    before = os.stat("/proc/self/ns/net").st_ino
    with named():
        read()
        files = len(os.listdir("/proc/self/fd"))
        read()
        assert len(os.listdir("/proc/self/fd")) == files
    assert {
        os.stat(f"/proc/self/task/{tid}/ns/net").st_ino for tid in os.listdir("/proc/self/task")
    } == {before}


def test_a_mountpoint_that_became_something_else_is_not_opened(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    inode = os.stat(pipe).st_ino
    reading = pinned.Reader(lambda: {inode: [str(pipe)], 5: [str(tmp_path / "gone")]}).read(Root())
    assert reading == pinned.PinnedReading((), ())


def test_one_that_a_process_enters_is_no_empty_one_any_more():
    with named() as name:
        inode = os.stat(f"/run/netns/{name}").st_ino
        spaces = namespaces.Reader()
        spaces.read(Root())
        assert inode in spaces.empty_networks
        sleeper = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
        try:
            while os.stat(f"/proc/{sleeper.pid}/ns/net").st_ino != inode:
                pass
            spaces.read(Root())
            assert inode not in spaces.empty_networks
        finally:
            sleeper.kill()
            sleeper.wait()
