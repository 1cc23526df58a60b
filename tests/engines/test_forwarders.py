"""Ports that processes pass on where no rule does: Podman's rootlessport and slirp4netns, and pasta by itself."""

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests import command, requirements
from tests.engines import daemons, seen
from tests.engines.daemons import Engine
from tests.engines.test_events import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]
SECTIONS = ("--section", "network,containers,processes")


def published(port: int) -> list[Any]:
    """Return what a dump says of a port of the host's that is passed on."""
    spaces = command.dump("dump", *SECTIONS, environment=seen.HIDDEN)["network_namespaces"]
    return [one for space in spaces for one in space["published"] if one["port"] == port]


def test_a_port_that_podman_publishes_by_a_process_leads_to_its_container(podman: Engine) -> None:
    requirements.commands("slirp4netns")
    identifier = podman(
        *("run", "--detach", *LIMITS, "--network", "slirp4netns", "--publish", "127.0.0.1::80"),
        *(daemons.IMAGE, "sleep", "1000"),
    )
    try:
        port = int(podman("port", identifier, "80").rpartition(":")[2])
        (one,) = published(port)
        said = command.succeed("owner", f"port:{port}", environment=seen.HIDDEN)
    finally:
        podman("rm", "--force", "--time", "0", identifier)
    assert one["by"].startswith("rootlessport, pid ")
    assert (one["protocol"], one["address"]) == ("tcp", "127.0.0.1")
    assert one["container"] == identifier
    assert (one["to_address"], one["to_port"]) == (None, None)
    assert "of the host is passed on by rootlessport, pid" in said


def test_a_port_that_slirp4netns_passes_on_leads_to_where_it_was_sent(tmp_path: Path) -> None:
    requirements.commands("slirp4netns", "unshare")
    apart = (
        "unshare",
        "--net",
        "--mount",
        "--uts",
        "--ipc",
        "sh",
        "-c",
        "echo ready; read forever",
    )
    with (
        subprocess.Popen(apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inner,
        tempfile.TemporaryDirectory(dir="/tmp") as short,
    ):
        assert inner.stdout is not None
        inner.stdout.readline()
        path = f"{short}/api"
        words = ("slirp4netns", "--configure", "--api-socket", path, str(inner.pid), "tap0")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as slirp:
            try:
                port = _forwarded(path, slirp)
                (one,) = published(port)
            finally:
                slirp.kill()
                inner.kill()
    assert one["by"] == f"slirp4netns, pid {slirp.pid}"
    assert one["container"] == f"unshare-{inner.pid}"


def _forwarded(path: str, process: "subprocess.Popen[bytes]") -> int:
    """Have slirp4netns pass a free port on (slirp4netns(1), API socket); return it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    until = time.monotonic() + 60
    while not Path(path).exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if process.poll() is not None:
        assert process.stderr is not None
        requirements.absent_here(f"slirp4netns cannot run: {process.stderr.read()!r}")
    arguments = {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": port, "guest_port": 80}
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(60)
        asked.connect(path)
        asked.sendall(json.dumps({"execute": "add_hostfwd", "arguments": arguments}).encode())
        asked.shutdown(socket.SHUT_WR)
        assert b'"id"' in asked.recv(4096)
    return port


def test_a_port_that_pasta_passes_on_is_told_with_the_one_it_goes_to(tmp_path: Path) -> None:
    requirements.commands("pasta")
    options = ("--foreground", "--quiet", "-t", "127.0.0.1/28096-28097:96-97", "-u", "none")
    with subprocess.Popen(
        ("pasta", *options, "--", "unshare", "--mount", "--uts", "--ipc", "sleep", "1000"),
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        try:
            until = time.monotonic() + 60
            found: list[Any] = []
            while not found and process.poll() is None and time.monotonic() < until:
                found = published(28097)
            if process.poll() is not None:
                assert process.stderr is not None
                requirements.absent_here(f"pasta cannot run: {process.stderr.read()}")
            (one,) = found
        finally:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            inner = children.read_text().split() if children.exists() else []
            for pid in (*inner, process.pid):
                subprocess.run(("kill", "-KILL", str(pid)), check=False, capture_output=True)
    assert (one["protocol"], one["to_port"]) == ("tcp", 97)
    assert one["by"].startswith(("pasta", "passt"))
    assert one["container"] is not None
