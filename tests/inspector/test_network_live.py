"""Network namespaces in a frame, beside what `ip` and `bridge` say: peers, bridges, those with nobody in."""

import asyncio
import json
import os
import secrets
import subprocess

import pytest

from collectors.registry import collectors
from collectors.root import Root
from inspector.derive import derive
from inspector.domains.network.model import Interface
from inspector.frame import Frame
from inspector.sampler import Sampler
from tests.collectors.kernel.test_pinned import ip, named

pytestmark = pytest.mark.root


def frame() -> Frame:
    sampler = Sampler(Root(), collectors(Root()))
    return derive(None, asyncio.run(sampler.sample({"network"})))


def interfaces(found: Frame, namespace: int) -> dict[str, Interface]:
    assert isinstance(found.network, tuple)
    return {one.interface: one for one in found.network if one.namespace == namespace}


def test_ends_of_a_veth_know_each_other_though_nobody_is_in_either_namespace():
    here = f"h{secrets.token_hex(4)}"
    with named() as name, named() as other:
        ip(name, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", other)
        ip(
            name,
            "link",
            "add",
            "v2",
            "type",
            "veth",
            "peer",
            "name",
            here,
            "netns",
            str(os.getpid()),
        )
        first, second = (os.stat(f"/run/netns/{one}").st_ino for one in (name, other))
        host = os.stat("/proc/self/ns/net").st_ino
        found = frame()
        assert isinstance(found.network_namespaces, tuple)
        spaces = {one.inode: one for one in found.network_namespaces}
    mine, theirs = interfaces(found, first), interfaces(found, second)
    assert mine["v0"].peer is not None
    assert (mine["v0"].peer.namespace, mine["v0"].peer.interface) == (second, "v1")
    assert theirs["v1"].peer is not None
    assert (theirs["v1"].peer.namespace, theirs["v1"].peer.interface) == (first, "v0")
    assert mine["v2"].peer is not None
    assert (mine["v2"].peer.namespace, mine["v2"].peer.interface) == (host, here)
    back = interfaces(found, host)[here]
    assert back.peer is not None
    assert (back.peer.namespace, back.peer.interface, back.shared_with_host) == (first, "v2", True)
    assert spaces[first].containers == ()
    assert spaces[first].listeners == ()


def test_a_bridge_has_the_ports_that_bridge_tells():
    with named() as name:
        ip(name, "link", "add", "br0", "type", "bridge")
        for number in range(3):
            ip(name, "link", "add", f"p{number}", "type", "veth", "peer", "name", f"q{number}")
            ip(name, "link", "set", f"p{number}", "master", "br0")
        inode = os.stat(f"/run/netns/{name}").st_ino
        told = json.loads(
            subprocess.run(
                ["ip", "netns", "exec", name, "bridge", "-j", "link"],
                check=True,
                capture_output=True,
            ).stdout
        )
        found = interfaces(frame(), inode)
    assert found["br0"].ports == tuple(sorted(one["ifname"] for one in told)) == ("p0", "p1", "p2")
    assert (found["p1"].master, found["q1"].master, found["p1"].ports) == ("br0", None, ())
