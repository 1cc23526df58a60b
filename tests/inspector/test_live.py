"""Real sandboxes on this host, found without any engine: made here, seen, frozen, gone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests import requirements

pytestmark = pytest.mark.root
MAIN = (sys.executable, "-m", "inspector.cli.main")


def dump(*arguments):
    done = subprocess.run(
        [*MAIN, "dump", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@contextlib.contextmanager
def running(*command):
    """Run a command whose last word is unique, and give the pid of the process that has it last."""
    mark = f"{3600 + uuid.uuid4().int % 10**9 / 10**9:.9f}"
    with subprocess.Popen([*command, "sleep", mark], start_new_session=True) as process:
        try:
            yield eventually(lambda: sleeper(mark))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def sleeper(mark):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == b"sleep\0" + mark.encode() + b"\0":
                return int(path.parent.name)
    return None


class LateError(AssertionError):
    """What was waited for did not come."""


def eventually(look, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise LateError(f"not so after {seconds} s")
        time.sleep(0.02)
    return found


def container(pid, *arguments):
    found = [one for one in dump(*arguments)["containers"] if pid in one["pids"]]
    assert len(found) == 1
    return found[0]


def test_unshare_is_found_with_what_it_shares():
    with running("unshare", "--pid", "--fork", "--mount-proc", "--net") as pid:
        one = container(pid, "--section", "containers")
    assert (one["id"], one["engine"]) == (f"unshare-{pid}", None)
    assert set(one["shared_with_host"]) >= {"user", "uts", "ipc"}
    assert {"pid", "net", "mnt"}.isdisjoint(one["shared_with_host"])
    assert one["resources"]["network"]["rx_bytes"] == 0
    assert f"{pid} is 1 inside" in one["evidence"]
    assert one["rootfs"]["path"] == "/"


@pytest.mark.parametrize("options", [("--unshare-pid",), ()])
def test_bubblewrap_is_found(options):
    requirements.commands("bwrap")
    with running("bwrap", *options, "--ro-bind", "/", "/", "--dev", "/dev") as pid:
        one = container(pid, "--section", "containers")
    assert one["engine"] == "bubblewrap"
    assert one["rootfs"]["read_only"]
    assert one["command"][0] == "sleep"


def test_one_sandbox_within_another_knows_it():
    inner = ("unshare", "--pid", "--fork", "--mount-proc")
    with running(*inner, "unshare", "--pid", "--fork", "--mount-proc") as pid:
        found = {one["id"]: one for one in dump("--section", "containers")["containers"]}
    one = found[f"unshare-{pid}"]
    assert one["parent"] in found
    assert found[one["parent"]]["parent"] is None


def test_the_namespaces_section_alone_names_the_containers_as_the_whole_does():
    with running("unshare", "--pid", "--fork", "--mount-proc", "--uts") as pid:
        alone = dump("--section", "namespaces")
        inode = os.stat(f"/proc/{pid}/ns/uts").st_ino
    (space,) = (one for one in alone["namespaces"] if one["inode"] == inode)
    assert space["containers"] == [f"unshare-{pid}"]
    assert pid in space["pids"]
    assert "processes" not in alone


@pytest.fixture
def cgroup():
    """Make a version 2 cgroup, and remove it with all that is in it."""
    mounted = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    version2 = [fields[1] for fields in mounted if fields[2] == "cgroup2"]
    if not version2:
        requirements.absent_here("no version 2 hierarchy is mounted")
    path = Path(version2[0], f"cinspect-test-{uuid.uuid4().hex[:8]}")
    path.mkdir()
    try:
        yield path
    finally:
        (path / "cgroup.freeze").write_text("0")
        for pid in (path / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: not (path / "cgroup.procs").read_text().split())
        path.rmdir()


def test_a_frozen_cgroup_is_a_paused_container_and_its_numbers_are_its_own(cgroup):
    with running("unshare", "--pid", "--fork", "--mount-proc") as pid:
        # The tool that waits for it too, or the cgroup would not hold all of the container.
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        for member in (pid, parent):
            (cgroup / "cgroup.procs").write_text(str(member))
        one = container(pid, "--section", "containers")
        assert one["status"] == "running"
        assert one["cgroups"][""] == f"/{cgroup.name}"
        assert one["resources"]["measured_by"]["cpu"] == "cgroup"
        (cgroup / "cgroup.freeze").write_text("1")
        eventually(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text())
        assert container(pid, "--section", "containers")["status"] == "paused"


def test_events_tell_what_comes_and_goes(tmp_path):
    path = tmp_path / "events"
    with (
        path.open("wb") as file,
        subprocess.Popen([*MAIN, "events", "--filter", "source=kernel"], stdout=file) as events,
    ):
        try:
            pid = eventually(lambda: told(path), seconds=60)
            eventually(lambda: topics(path, pid) == ["appeared", "gone"])
        finally:
            events.send_signal(signal.SIGINT)
            events.wait(timeout=30)
    assert events.returncode == 130


def told(path):
    """Make a sandbox for a while; return its first process's pid once it was told of.

    Nothing is until the second look at the host, which is some time after the command's start.
    """
    with (
        running("unshare", "--pid", "--fork", "--mount-proc") as pid,
        contextlib.suppress(LateError),
    ):
        eventually(lambda: topics(path, pid), seconds=5)
        return pid
    return None


def topics(path, pid):
    events = [
        json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if b"\n" in line
    ]
    accounts = [
        account["topic"]
        for event in events
        if event["container"] == f"unshare-{pid}"
        for account in (event, *event["seen_by"])
    ]
    return [topic for topic in accounts if topic in {"appeared", "gone"}]


def test_without_root_there_is_less_and_it_is_said(tmp_path):
    requirements.commands("setpriv")
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", *MAIN, "dump"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["processes"]
    assert any(problem["error"] == "denied" for problem in said["errors"])
    assert len(said["errors"]) < 40
