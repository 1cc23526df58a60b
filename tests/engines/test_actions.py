"""Actions on containers of Docker and Podman: through their sockets, and without them by the kernel."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import daemons
from tests.engines.daemons import Engine

pytestmark = [pytest.mark.root, pytest.mark.engine]
REPOSITORY = Path(__file__).parents[2]

Cinspect = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cinspect(tmp_path: Path) -> Cinspect:
    """Run cinspect, which is told where an engine is (or is not)."""

    def run(*words: str, engine: Engine | None = None) -> subprocess.CompletedProcess[str]:
        where = ("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state"))
        return subprocess.run(
            [sys.executable, "-m", "inspector", *where, *words],
            env={**os.environ, **(engine.environment if engine is not None else {})},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def last_action(tmp_path: Path) -> dict[str, str]:
    return json.loads((tmp_path / "root" / "actions.ndjson").read_text().splitlines()[-1])


@pytest.fixture
def of_docker(docker: Engine) -> Iterator[str]:
    name = "cinspect-act-docker"
    docker(
        *(
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            "none",
            "--memory",
            "64m",
            "--env",
            "A=1",
        ),
        *(daemons.IMAGE, "sleep", "1000"),
    )
    yield name
    docker("rm", "--force", name)


@pytest.fixture
def of_podman(podman: Engine) -> Iterator[str]:
    name = "cinspect-act-podman"
    podman(
        *("run", "--detach", "--name", name, "--network", "none"),
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
        *(daemons.IMAGE, "sleep", "1000"),
    )
    yield name
    podman("rm", "--force", name)


def status(engine: Engine, name: str) -> str:
    return engine.json("inspect", name)[0]["State"]["Status"]


def test_docker_is_asked_to_freeze_and_thaw(
    docker: Engine, of_docker: str, cinspect: Cinspect, tmp_path: Path
) -> None:
    assert cinspect("freeze", of_docker, engine=docker).stdout == f"{of_docker}\n"
    assert status(docker, of_docker) == "paused"
    assert last_action(tmp_path)["how"] in str(docker.address)
    again = cinspect("freeze", of_docker, engine=docker)
    assert again.returncode == 1
    assert "already paused" in again.stderr
    assert cinspect("thaw", of_docker, engine=docker).returncode == 0
    assert status(docker, of_docker) == "running"


def test_docker_is_asked_for_other_limits(
    docker: Engine, of_docker: str, cinspect: Cinspect
) -> None:
    done = cinspect("update", "-m", "96m", "--cpus", "0.5", of_docker, engine=docker)
    assert done.returncode == 0, done.stderr
    host = docker.json("inspect", of_docker)[0]["HostConfig"]
    assert host["Memory"] == 96 << 20
    assert host["NanoCpus"] == 500_000_000


def test_docker_is_asked_to_signal(docker: Engine, of_docker: str, cinspect: Cinspect) -> None:
    assert cinspect("kill", of_docker, engine=docker).returncode == 0
    assert docker("wait", of_docker) == "137"


def test_a_container_of_dockers_executes(
    docker: Engine, of_docker: str, cinspect: Cinspect
) -> None:
    done = cinspect(
        "exec", of_docker, "sh", "-c", "echo $A; cat /etc/hostname; exit 3", engine=docker
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines()[0] == "1"


def test_without_its_socket_a_container_of_dockers_is_frozen_by_the_kernel(
    docker: Engine, of_docker: str, cinspect: Cinspect, tmp_path: Path
) -> None:
    full = docker("inspect", "--format", "{{.Id}}", of_docker)
    assert cinspect("freeze", full).returncode == 0
    assert last_action(tmp_path)["how"].startswith("cgroup ")
    assert cinspect("update", "--pids-limit", "33", full).returncode == 0
    assert cinspect("thaw", full).returncode == 0
    assert cinspect("exec", full, "sh", "-c", "exit 5").returncode == 5
    pid = docker("inspect", "--format", "{{.State.Pid}}", of_docker)
    path = next(
        line.split(":", 2)[2]
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        if ":pids:" in line or line.startswith("0::")
    )
    limits = [Path(f"/sys/fs/cgroup{base}{path}/pids.max") for base in ("/pids", "")]
    assert [file.read_text() for file in limits if file.exists()] == ["33\n"]


def test_what_was_frozen_behind_dockers_back_is_thawed(
    docker: Engine, of_docker: str, cinspect: Cinspect
) -> None:
    full = docker("inspect", "--format", "{{.Id}}", of_docker)
    assert cinspect("freeze", full).returncode == 0
    assert status(docker, of_docker) == "running"
    done = cinspect("thaw", of_docker, engine=docker)
    assert done.returncode == 0, done.stderr
    assert docker("exec", of_docker, "echo", "alive") == "alive"
    again = cinspect("thaw", of_docker, engine=docker)
    assert again.returncode == 1
    assert "not paused" in again.stderr


def test_podman_containers_freeze_thaw_execute_and_end(
    podman: Engine, of_podman: str, cinspect: Cinspect
) -> None:
    assert cinspect("freeze", of_podman, engine=podman).returncode == 0
    assert status(podman, of_podman) == "paused"
    assert cinspect("thaw", of_podman, engine=podman).returncode == 0
    assert status(podman, of_podman) == "running"
    assert cinspect("exec", of_podman, "sh", "-c", "exit 4", engine=podman).returncode == 4
    assert cinspect("kill", of_podman, engine=podman).returncode == 0
    assert podman("wait", of_podman) == "137"
