"""Engines that have systemd make the cgroups run containers on `cinspect-oci`: where systemd runs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements
from tests.engines import daemons
from tests.engines.daemons import Engine
from tests.engines.test_oci_runtime import QUIET, RUNTIME, limits, sleeping, status

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def systemd() -> None:
    if not os.path.isdir("/run/systemd/system"):
        requirements.absent_here("systemd is not the first process of this host")
    offered = Path("/sys/fs/cgroup/cgroup.controllers")
    if offered.exists() and not {"cpu", "memory", "pids"} <= set(offered.read_text().split()):
        requirements.absent_here("this host lacks controllers that engines always limit")


@pytest.fixture(scope="module")
def docker(scratch: Path, containerd: Engine, rootfs_tar: Path) -> Iterator[Engine]:
    """Run a dockerd that leaves cgroups to systemd, and containers to our runtime."""
    requirements.commands("dockerd", "docker")
    options = ("--exec-opt", "native.cgroupdriver=systemd")
    with daemons.docker_on(RUNTIME, "systemd", scratch, containerd, rootfs_tar, *options) as cli:
        yield cli


@pytest.fixture
def by_systemd(podman: Engine) -> Engine:
    """Return podman with systemd as its cgroup manager and our runtime."""
    words = ["systemd" if word == "cgroupfs" else word for word in podman.command]
    return Engine((*words, "--runtime", RUNTIME), scratch=podman.scratch)


@pytest.fixture(params=["docker", "by_systemd"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def scopes() -> list[str]:
    listed = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "*.scope")
    done = subprocess.run(listed, check=True, capture_output=True, text=True)
    names = (line.split()[0] for line in done.stdout.splitlines())
    return [name for name in names if name.startswith(("docker-", "libpod-", "ctr-"))]


def test_an_engine_has_its_containers_in_scopes(engine: Engine) -> None:
    with sleeping(engine, "scoped") as name:
        (scope,) = scopes()
        pid = engine("inspect", "--format", "{{.State.Pid}}", name)
        assert f"/{scope}" in Path(f"/proc/{pid}/cgroup").read_text()
        assert engine("exec", name, "cat", "/proc/1/cmdline").startswith("sleep")
        engine("pause", name)
        assert status(engine, name) == "paused"
        engine("unpause", name)
        assert status(engine, name) == "running"
        engine("stop", "--time", "0", name)
        assert status(engine, name) == "exited"
        engine("start", name)
        assert status(engine, name) == "running"
    command.eventually(lambda: scopes() == [])


def test_an_engine_has_limits_kept(engine: Engine) -> None:
    with sleeping(engine, "limited", "--memory", "64m", "--pids-limit", "50") as name:
        (scope,) = scopes()
        show = ("systemctl", "show", scope, "-p", "TasksMax", "--value")
        assert subprocess.run(show, check=True, capture_output=True).stdout == b"50\n"
        usage = engine("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
        assert usage.split("/")[1].strip() in {"64MiB", "67.11MB"}
    command.eventually(lambda: scopes() == [])


def test_docker_changes_limits_of_a_running_container(docker: Engine) -> None:
    with sleeping(docker, "changed", "--memory", "64m") as name:
        docker("update", "--memory", "96m", "--memory-swap", "96m", "--pids-limit", "9", name)
        (scope,) = scopes()
        show = ("systemctl", "show", scope, "-p", "TasksMax", "--value")
        assert subprocess.run(show, check=True, capture_output=True).stdout == b"9\n"
        usage = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
        assert usage.endswith("/ 96MiB")


def test_an_engine_gets_the_exit_status(engine: Engine) -> None:
    arguments = ("run", "--name", "ends", *QUIET, *limits(engine), daemons.IMAGE)
    try:
        assert engine(*arguments, "sh", "-c", "id -u; exit 5", check=False) == "0"
        assert engine("inspect", "--format", "{{.State.ExitCode}}", "ends") == "5"
    finally:
        engine("rm", "--force", "ends")
    command.eventually(lambda: scopes() == [])


def test_containerd_runs_a_task_in_a_scope(docker: Engine, containerd: Engine) -> None:
    path = containerd.scratch / "systemd.tar"
    docker("save", daemons.IMAGE, "--output", str(path))
    containerd("images", "import", str(path))
    image = f"docker.io/library/{daemons.IMAGE}"
    place = ("--runc-systemd-cgroup", "--cgroup", "system.slice:ctr:scoped")
    options = ("--runc-binary", RUNTIME, *place, image)
    containerd("run", "--detach", *options, "scoped", "sleep", "1000")
    try:
        assert scopes() == ["ctr-scoped.scope"]
        containerd("tasks", "kill", "--signal", "KILL", "scoped")
        command.eventually(lambda: "STOPPED" in containerd("tasks", "ls"))
    finally:
        containerd("tasks", "rm", "--force", "scoped", check=False)
        containerd("containers", "rm", "scoped")
    assert scopes() == []
