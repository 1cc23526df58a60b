"""What a dump of this host says, against the schema it states and other programs' readings."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import command, requirements
from tests.live import host
from tests.live.engine import Engine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def demo(engine: Engine) -> Iterator[str]:
    """Return the id of a container that has changed a file."""
    limits = ("--memory", "64m") if "memory" in host.controllers() else ()
    script = "echo x > /etc/changed; exec sleep 1000"
    with engine.running("sh", "-c", script, options=("--hostname", "demo", *limits)) as identifier:
        command.eventually(lambda: "/etc/changed" in engine("diff", identifier))
        yield identifier


@pytest.fixture(scope="module")
def frame(engine: Engine, demo: str) -> Any:
    """Return one dump of everything, with rates."""
    return engine.dump("--interval", "0.2")


def test_it_is_valid_by_the_schema(engine: Engine, frame: Any) -> None:
    schema = json.loads(engine("schema"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(frame, schema)


def test_it_names_the_cgroup_mode_of_this_host(frame: Any) -> None:
    cgroup = frame["host"]["cgroup"]
    assert (cgroup["mode"] == "unified") == host.UNIFIED
    named = {name for one in cgroup["hierarchies"] for name in one["controllers"]}
    assert host.controllers() <= named


def test_it_shows_the_embedded_engines_container_in_full(frame: Any, demo: str) -> None:
    one = next(one for one in frame["containers"] if one["id"] == demo)
    assert one["engine"] == "cinspect"
    assert one["status"] == "running"
    assert one["image"] == "@host"
    assert one["shim"]["pid"] in {process["pid"] for process in frame["processes"]}
    assert one["pid"] in one["pids"]
    assert {"mnt", "uts", "ipc", "pid", "net"}.isdisjoint(one["shared_with_host"])
    roles = Counter(layer["role"] for layer in one["rootfs"]["layers"])
    assert roles["upper"] == roles["work"] == roles["merged"] == 1
    assert roles["lower"] >= 1
    upper = next(layer for layer in one["rootfs"]["layers"] if layer["role"] == "upper")
    assert Path(upper["path"], "etc/changed").read_text() == "x\n"
    if "memory" in host.controllers():
        assert one["resources"]["memory"]["limit_bytes"] == 64 << 20


def test_its_namespaces_inodes_are_the_kernels(frame: Any, demo: str) -> None:
    one = next(one for one in frame["containers"] if one["id"] == demo)
    for kind, inode in one["namespaces"].items():
        if inode is not None:
            assert os.stat(f"/proc/{one['pid']}/ns/{kind}").st_ino == inode


def test_its_namespaces_are_those_of_lsns(engine: Engine) -> None:
    requirements.commands("lsns")

    def agree() -> bool:
        # Between the two readings, a process with namespaces of its own may come or go.
        found = engine.dump("--section", "namespaces")["namespaces"]
        done = subprocess.run(
            ("lsns", "--json", "--output", "NS,TYPE"), check=False, capture_output=True
        )
        if done.returncode:
            return False  # it fails where a process goes while it looks
        said = done.stdout
        theirs = {(int(one["ns"]), one["type"]) for one in json.loads(said)["namespaces"]}
        return {(one["inode"], one["type"]) for one in found if one["processes"]} == theirs

    command.eventually(agree)


def test_its_mounts_are_those_of_findmnt(engine: Engine) -> None:
    requirements.commands("findmnt")
    own = os.stat("/proc/self/ns/mnt").st_ino
    listed = json.loads(
        subprocess.run(
            ("findmnt", "--json", "--list", "--output", "ID,TARGET,FSTYPE"),
            check=True,
            capture_output=True,
        ).stdout
    )["filesystems"]
    theirs = {(one["id"], one["target"], one["fstype"]) for one in listed}
    ours = {
        (one["mount_id"], one["mountpoint"], one["fstype"])
        for one in engine.dump("--section", "mounts")["mounts"]
        if one["namespace"] == own
    }
    assert ours == theirs


def test_its_cgroups_are_the_directories(frame: Any, demo: str) -> None:
    hierarchies = frame["host"]["cgroup"]["hierarchies"]
    assert hierarchies
    found = {one["path"] for one in frame["cgroups"] if one["container"] == demo}
    own = [path for path in found if demo in path]
    assert own
    for one in frame["cgroups"]:
        if one["path"] in own and host.UNIFIED:
            assert os.stat(f"/sys/fs/cgroup{one['path']}").st_ino == one["inode"]


def test_its_processes_are_those_of_proc(engine: Engine) -> None:
    def close() -> bool:
        ours = {one["pid"] for one in engine.dump("--section", "processes")["processes"]}
        theirs = {int(path.name) for path in Path("/proc").glob("[0-9]*")}
        return len(ours ^ theirs) <= 4

    command.eventually(close)


def test_an_unshare_sandbox_is_found(engine: Engine) -> None:
    sandbox = ("unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child")
    with subprocess.Popen((*sandbox, "sleep", "1000")) as process:
        try:
            child = command.eventually(lambda: children(process.pid))[0]
            one = command.eventually(lambda: containing(engine, child))
            assert one["engine"] is None
            assert one["pid"] == child
            assert {"pid", "net", "uts"}.isdisjoint(one["shared_with_host"])
            assert one["evidence"]
        finally:
            process.kill()


def test_a_bubblewrap_sandbox_is_found(engine: Engine) -> None:
    requirements.commands("bwrap")
    sandbox = ("bwrap", "--bind", "/", "/", "--proc", "/proc", "--unshare-all", "--die-with-parent")
    with subprocess.Popen((*sandbox, "sleep", "1000")) as process:
        try:
            inside = command.eventually(lambda: descendant(process.pid, "sleep"))
            one = command.eventually(lambda: containing(engine, inside))
            assert one["engine"] == "bubblewrap"
            assert {"pid", "net", "mnt"}.isdisjoint(one["shared_with_host"])
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    """Return the pids of the children of this process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def containing(engine: Engine, pid: int) -> Any:
    """Return the container with this process, if it is seen as one."""
    found = engine.dump("--section", "containers")["containers"]
    return next((one for one in found if pid in one["pids"]), None)


def descendant(pid: int, comm: str) -> int | None:
    """Return the process of this name below this one, once it is there."""
    for child in children(pid):
        if Path(f"/proc/{child}/comm").read_text() == f"{comm}\n":
            return child
        if found := descendant(child, comm):
            return found
    return None


def test_a_container_that_is_gone_is_gone_from_the_dump(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        assert engine.container(identifier)
    seen = {one["id"] for one in engine.dump("--section", "containers")["containers"]}
    assert identifier not in seen


def test_selecting_a_section_leaves_the_others_out(engine: Engine) -> None:
    frame = engine.dump("--section", "mounts")
    assert "mounts" in frame
    assert not {"containers", "processes", "cgroups"} & set(frame)


def test_watch_prints_a_frame_a_line(engine: Engine) -> None:
    lines = engine("watch", "--interval", "0.2", "--count", "3", "--section", "containers")
    frames = [json.loads(line) for line in lines.splitlines()]
    assert len(frames) == 3
    assert frames[0]["taken_at"] < frames[1]["taken_at"] < frames[2]["taken_at"]


def test_doctor_says_what_this_host_supports(engine: Engine) -> None:
    done = engine.cinspect("doctor")
    assert done.returncode == 0
    assert "cgroup" in done.stdout
