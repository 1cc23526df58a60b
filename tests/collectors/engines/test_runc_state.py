"""What runc and crun keep on disk: of real containers, and of torn and foreign files."""

import json
import os
import subprocess
import time

import pytest

from collectors.engines.runc_state import StateDirectory, StateEngine
from collectors.errors import Denied, Missing
from collectors.root import Root
from tests import requirements


@pytest.fixture
def bundle(tmp_path, rootfs):
    """Return a bundle whose command sleeps, in as few namespaces as a spec may have."""
    requirements.commands("runc")
    subprocess.run(["runc", "spec", "--bundle", tmp_path], check=True)
    path = tmp_path / "config.json"
    spec = json.loads(path.read_text())
    spec["root"]["path"] = str(rootfs)
    spec["process"] |= {"args": ["sleep", "1000"], "terminal": False, "rlimits": []}
    spec["annotations"] = {"tier": "front"}
    spec["linux"]["resources"] = {}
    spec["linux"]["cgroupsPath"] = f"/cinspect-state-{os.getpid()}/one"
    path.write_text(json.dumps(spec))
    yield tmp_path
    for directory in ("/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup"))):
        above = f"{directory}/cinspect-state-{os.getpid()}"
        if os.path.isdir(above):
            os.rmdir(above)


def run(bundle, *arguments):
    log = bundle / "log"
    with log.open("wb") as output:
        done = subprocess.run(
            ["runc", "--root", bundle / "state", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    assert done.returncode == 0, log.read_text()


@pytest.fixture
def created(bundle):
    """Return the bundle of a created container, `one`."""
    run(bundle, "create", "--bundle", str(bundle), "one")
    yield bundle
    run(bundle, "delete", "--force", "one")


def engine_of(bundle):
    return StateEngine("runc", [StateDirectory(str(bundle / "state"), "ns")])


@pytest.mark.engine
@pytest.mark.root
async def test_runcs_container_is_told_through_its_life(created):
    engine = engine_of(created)
    (one,) = (await engine.collect()).containers
    said = json.loads((created / "state" / "one" / "state.json").read_text())
    assert (one.id, one.engine, one.engine_namespace) == ("one", "runc", "ns")
    assert (one.status, one.pid) == ("created", said["init_process_pid"])
    assert one.command == ("sleep", "1000")
    assert one.labels == {"tier": "front"}
    assert one.cgroup == f"/cinspect-state-{os.getpid()}/one"
    assert one.created_at is not None
    assert one.created_at.isoformat()[:19] == said["created"][:19]
    run(created, "start", "one")
    (one,) = (await engine.collect()).containers
    assert one.status == "running"
    run(created, "kill", "one", "KILL")
    deadline = time.monotonic() + 10
    while (one := (await engine.collect()).containers[0]).status != "stopped":
        assert time.monotonic() < deadline
    assert one.pid is None


@pytest.mark.engine
@pytest.mark.root
async def test_cruns_own_files_are_told_as_crun_itself_tells_them(bundle):
    requirements.commands("crun")
    state = bundle / "crun"

    def crun(*arguments):
        # crun refuses a host with both versions of cgroups: it is shown version 1 alone.
        hide = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root "$0" "$@"'
        with (bundle / "log").open("wb") as output:
            done = subprocess.run(
                ["unshare", "--mount", "sh", "-c", hide, state, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        said = (bundle / "log").read_text()
        assert done.returncode == 0, said
        return said

    crun("create", "--bundle", str(bundle), "one")
    try:
        engine = StateEngine("crun", [StateDirectory(str(state))])
        (created,) = (await engine.collect()).containers
        said = json.loads(crun("state", "one"))
        crun("start", "one")
        (started,) = (await engine.collect()).containers
    finally:
        crun("delete", "--force", "one")
    assert (created.id, created.status, created.pid) == ("one", said["status"], said["pid"])
    assert said["status"] == "created"
    assert created.command == ("sleep", "1000")
    assert created.cgroup == f"/cinspect-state-{os.getpid()}/one"
    assert started.status == "running"
    assert (await engine.collect()).containers == ()


def recorded(base, *, pid=7, start=99, ticks=99, state="S"):
    """Record a host: a process, and what crun wrote of the container that it is."""
    numbers = " ".join(["0"] * 18)
    (base / "proc" / str(pid)).mkdir(parents=True)
    stat = f"{pid} (a) b) {state} {numbers} {ticks} 0 0 0 0\n"
    (base / "proc" / str(pid) / "stat").write_text(stat)
    (base / "run" / "crun" / "one").mkdir(parents=True)
    (base / "bundle").mkdir()
    (base / "bundle" / "config.json").write_text('{"process":{"args":["sleep","5"]}}')
    status = {
        "pid": pid,
        "process-start-time": start,
        "cgroup-path": "/one",
        "rootfs": "rootfs",
        "bundle": "/bundle",
        "created": "2026-11-24T05:02:36.776610Z",
    }
    (base / "run" / "crun" / "one" / "status").write_text(json.dumps(status))
    return StateEngine("crun", [StateDirectory("/run/crun")], root=Root(str(base)))


async def test_cruns_container_is_told_from_its_status_file(tmp_path):
    (one,) = (await recorded(tmp_path).collect()).containers
    assert (one.id, one.engine, one.status, one.pid) == ("one", "crun", "running", 7)
    assert (one.cgroup, one.command, one.runtime) == ("/one", ("sleep", "5"), "crun")
    assert str(one.created_at) == "2026-11-24 05:02:36.776610+00:00"


async def test_one_whose_init_waits_at_its_fifo_is_created(tmp_path):
    engine = recorded(tmp_path)
    os.mkfifo(tmp_path / "run" / "crun" / "one" / "exec.fifo")
    assert (await engine.collect()).containers[0].status == "created"


async def test_a_pid_that_was_used_again_is_not_the_container(tmp_path):
    (one,) = (await recorded(tmp_path, ticks=100).collect()).containers
    assert (one.status, one.pid) == ("stopped", None)


async def test_a_zombie_has_stopped(tmp_path):
    assert (await recorded(tmp_path, state="Z").collect()).containers[0].status == "stopped"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"pid":"x"}', b"[" * 99999, b"\xff\xfe"])
async def test_a_torn_status_is_a_container_with_an_error_that_names_it(tmp_path, data):
    engine = recorded(tmp_path)
    (tmp_path / "run" / "crun" / "one" / "status").write_bytes(data)
    (one,) = (await engine.collect()).containers
    assert (one.id, one.status) == ("one", None)
    assert one.error is not None
    assert "/run/crun/one" in one.error


async def test_a_directory_without_state_is_no_container(tmp_path):
    engine = recorded(tmp_path)
    (tmp_path / "run" / "crun" / "other").mkdir()
    (tmp_path / "run" / "crun" / "file").write_text("")
    assert [one.id for one in (await engine.collect()).containers] == ["one"]


async def test_a_bundle_that_is_gone_costs_the_command_alone(tmp_path):
    engine = recorded(tmp_path)
    (tmp_path / "bundle" / "config.json").unlink()
    (one,) = (await engine.collect()).containers
    assert (one.status, one.command) == ("running", None)


async def test_below_a_parent_every_directory_is_an_engine_namespace(tmp_path):
    base = tmp_path / "run" / "containerd" / "runc" / "k8s.io" / "one"
    base.mkdir(parents=True)
    (base / "state.json").write_text('{"id":"one","init_process_pid":5,"init_process_start":6}')
    engine = StateEngine("runc", [], parents=("/run/containerd/runc",), root=Root(str(tmp_path)))
    (one,) = (await engine.collect()).containers
    assert (one.engine_namespace, one.status) == ("k8s.io", "stopped")


async def test_without_any_directory_it_is_missing(tmp_path):
    engine = StateEngine(
        "runc", [StateDirectory("/run/runc")], parents=("/run/other",), root=Root(str(tmp_path))
    )
    with pytest.raises(Missing, match="/run/runc"):
        await engine.collect()


@pytest.mark.root
async def test_a_directory_that_this_user_may_not_read_is_denied(tmp_path):
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    (tmp_path / "runc").mkdir(mode=0o700)
    engine = StateEngine("runc", [StateDirectory(str(tmp_path / "runc"))])
    os.seteuid(65534)
    try:
        with pytest.raises(Denied, match="runc"):
            engine._read()
    finally:
        os.seteuid(0)
