"""Whose things are, on this host: a real container, and every kind of WHAT that leads to it."""

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collectors import lookups
from collectors.root import Root
from tests import command, requirements
from tests.live import host
from tests.live.engine import Engine

pytestmark = pytest.mark.root

SERVER = """
import socket, time
tcp = socket.socket(); tcp.bind(("0.0.0.0", 18099)); tcp.listen()
udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 18098))
near = socket.create_connection(("127.0.0.1", 18099))
held = open("/data/held", "w"); own = open("/root/own", "w")
print("ready", near.getsockname()[1], tcp.fileno(), flush=True)
time.sleep(1000)
"""


@dataclass(frozen=True)
class Served:
    """A container that has everything open that can be asked for."""

    id: str
    name: str
    pid: int
    near_port: int
    listener: int
    """Descriptor of its listening socket."""
    volume: Path
    veth: str
    """The host's end of the pair."""
    address: str
    layers: dict[str, str]
    cgroups: dict[str, str]
    namespaces: dict[str, int]


@pytest.fixture(scope="module")
def served(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a server in a container with a volume, and a veth pair into it."""
    requirements.commands("ip", "nsenter")
    volume = Path(engine.data).parent / "volume"
    volume.mkdir(exist_ok=True)
    options = ("--volume", f"{volume}:/data")
    with engine.running(
        sys.executable if sys.executable.startswith("/usr") else "/usr/bin/python3",
        "-c",
        SERVER,
        options=options,
        prefix="owner",
    ) as identifier:
        said = command.eventually(lambda: engine("logs", identifier)).split()
        one = engine.container(identifier)
        with veth(one["pid"]) as (name, address):
            yield Served(
                id=identifier,
                name=one["name"],
                pid=one["pid"],
                near_port=int(said[1]),
                listener=int(said[2]),
                volume=volume,
                veth=name,
                address=address,
                layers={layer["role"]: layer["path"] for layer in one["rootfs"]["layers"]},
                cgroups=one["cgroups"],
                namespaces=one["namespaces"],
            )


@contextmanager
def veth(pid: int) -> Iterator[tuple[str, str]]:
    """Make a veth pair whose other end is in a process's network namespace; yield name and address."""
    unique = uuid.uuid4().hex[:6]
    name, other = f"cno{unique}", f"cni{unique}"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", other)
    try:
        run("ip", "link", "set", other, "netns", str(pid))
        inside = ("nsenter", f"--target={pid}", "--net")
        run(*inside, "ip", "addr", "add", "10.213.0.2/24", "dev", other)
        run(*inside, "ip", "link", "set", other, "up")
        yield name, "10.213.0.2"
    finally:
        subprocess.run(("ip", "link", "del", name), check=False, capture_output=True)


def run(*words: str) -> None:
    """Run a command that must end well."""
    subprocess.run(words, check=True, capture_output=True)


def owner(engine: Engine, *whats: str) -> tuple[int, list[Any]]:
    """Ask; return the exit status and the reports."""
    done = engine.cinspect("owner", "--format", "json", *whats)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kind_of_what_leads_to_the_container(engine: Engine, served: Served) -> None:
    mounts = Path(f"/proc/{served.pid}/mountinfo").read_text().splitlines()
    mount = next(line.split()[0] for line in mounts if line.split()[4] == "/data")
    whats = [
        str(served.pid),
        f"pid:1@{served.name}",
        served.veth,
        f"veth:{served.veth}@if7",
        served.address,
        "port:18099",
        "port:18098/udp",
        f"conn:127.0.0.1:{served.near_port}->127.0.0.1:18099",
        f"{served.address}:18099",
        str(served.volume / "held"),
        f"{served.layers['upper']}/root/own",
        f"{served.layers['merged']}/etc",
        f"/proc/{served.pid}/root/etc/passwd",
        f"/proc/{served.pid}/fd/{served.listener}",
        os.readlink(f"/proc/{served.pid}/fd/{served.listener}"),
        f"inode:{(served.volume / 'held').stat().st_ino}",
        f"ns:{served.namespaces['net']}",
        f"pid:[{served.namespaces['pid']}]",
        f"mount:{mount}",
        served.id[:12],
        served.name,
    ]
    status, reports = owner(engine, *whats)
    wrong = [one for one in reports if [o["id"] for o in one["owners"]] != [served.id]]
    assert wrong == []
    assert status == 0
    assert [one["what"] for one in reports] == whats
    assert all(answer["chain"] for one in reports for answer in one["answers"])


def test_a_cgroup_leads_to_it_by_path_and_by_id(engine: Engine, served: Served) -> None:
    top = "/sys/fs/cgroup" if host.UNIFIED else "/sys/fs/cgroup/pids"
    path = served.cgroups["" if host.UNIFIED else "pids"]
    whats = (f"cgroup:{path}", f"{top}{path}", f"cgroup:{Path(top + path).stat().st_ino}")
    status, reports = owner(engine, *whats)
    assert status == 0
    assert {one["owners"][0]["id"] for one in reports} == {served.id}


def test_a_bridge_leads_to_whoever_is_connected(engine: Engine, served: Served) -> None:
    bridge = f"cnb{uuid.uuid4().hex[:6]}"
    run("ip", "link", "add", bridge, "type", "bridge")
    try:
        run("ip", "link", "set", served.veth, "master", bridge)
        status, (report,) = owner(engine, bridge)
    finally:
        run("ip", "link", "del", bridge)
    assert (status, report["owners"]) == (1, [])
    assert any(
        served.veth in step and served.name in step for step in report["answers"][0]["chain"]
    )


def test_a_unix_socket_of_the_hosts_leads_to_who_listens_there(
    engine: Engine, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        one.listen()
        _, (report,) = owner(engine, str(tmp_path / "s"))
    if host.INSIDE:
        assert [each["id"] for each in report["owners"]] == ["self"]
    else:
        assert report["answers"][0]["instead"] == "a socket of the host's"
    said = [step for step in report["answers"][0]["chain"] if "which listens there" in step]
    assert len(said) == 1
    assert said[0].startswith(f"pid {os.getpid()} ")


def test_a_unix_socket_that_a_container_bound_under_another_name_is_found_by_its_file(
    engine: Engine,
) -> None:
    shared = Path(engine.data).parent / f"shared-{uuid.uuid4().hex[:6]}"
    shared.mkdir()
    code = (
        "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('/inside/s'); s.listen(); "
        "print('ready', flush=True); time.sleep(1000)"
    )
    options = ("--volume", f"{shared}:/inside")
    with engine.running("/usr/bin/python3", "-c", code, options=options) as identifier:
        command.eventually(lambda: engine("logs", identifier))
        facts = lookups.path(Root(), str(shared / "s"))
        pid = engine.container(identifier)["pid"]
        space = Path(f"/proc/{pid}/ns/net").stat().st_ino
        inodes = lookups.listeners_at(Root(), facts, {space: pid})
        links = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    assert [f"socket:[{inode}]" for inode in inodes] == [
        link for link in links if link.startswith("socket:")
    ]


def test_what_nobody_owns_says_what_it_is(engine: Engine, tmp_path: Path) -> None:
    if host.INSIDE:
        requirements.absent_here("all that is here is in a container")
    with (tmp_path / "open").open("w"):
        status, (process, file, nothing) = owner(
            engine, f"pid:{os.getpid()}", str(tmp_path / "open"), "if:cn-none"
        )
    assert status == 1
    assert process["answers"][0]["instead"].startswith("a process of the host")
    assert file["answers"][0]["instead"] == "a file of the host's"
    assert any(f"pid {os.getpid()}" in step for step in file["answers"][0]["chain"])
    assert nothing["answers"] == []
    assert nothing["tried"][0]["kind"] == "interface"


def test_a_hostile_name_does_not_reach_the_terminal(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[2J\nb"
    file.write_text("")
    done = engine.cinspect("owner", f"path:{file}")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "a\\x1b[2J\\x0ab" in done.stdout


def test_an_overlay_that_no_engine_made_is_recognized(engine: Engine, tmp_path: Path) -> None:
    disk = Path(engine.data).parent / f"stack-{uuid.uuid4().hex[:6]}"
    for name in ("lower/bin", "upper", "work", "merged"):
        (disk / name).mkdir(parents=True)
    script = (
        f"mount -t overlay none -o lowerdir={disk}/lower,upperdir={disk}/upper,"
        f"workdir={disk}/work {disk}/merged && mount --bind /proc {disk}/merged/bin && "
        f"cd {disk}/merged && mkdir old && pivot_root . old && echo ready && read line"
    )
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"]
    with subprocess.Popen(
        [*words, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            status, reports = owner(engine, f"{disk}/upper/old", f"{disk}/lower/bin")
        finally:
            process.kill()
    run("rm", "-r", str(disk))
    assert status == 0
    assert [one["owners"][0]["engine"] for one in reports] == [None, None]
    assert "upper layer" in " ".join(reports[0]["answers"][0]["chain"])


def test_wrong_usage_is_said_before_anything_is_read(engine: Engine) -> None:
    done = engine.cinspect("owner", "pid:abc")
    assert (done.returncode, done.stdout) == (2, "")
    assert "say pid:123" in done.stderr


def test_without_root_a_pid_is_still_found_and_what_is_hidden_is_said(
    engine: Engine, served: Served, tmp_path: Path
) -> None:
    requirements.commands("setpriv")
    user = ("setpriv", "--reuid", "65534", "--clear-groups")
    done = subprocess.run(
        (*user, command.CINSPECT, "owner", f"pid:{served.pid}", "port:18099"),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    process, _, port = done.stdout.partition("\n\n")
    assert served.id[:12] in process.splitlines()[0]
    assert "an owner may have been missed:" in port
