"""Docker, Podman and containerd run containers on `cinspect-oci` as they do on runc."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import command, requirements
from tests.engines import daemons
from tests.engines.daemons import Engine

pytestmark = [pytest.mark.engine, pytest.mark.root]

RUNTIME = str(Path(sys.executable).with_name("cinspect-oci"))
QUIET = ("--network", "none")
Run = Callable[..., str]


@pytest.fixture(scope="module")
def docker_on_ours(scratch: Path, containerd: Engine, rootfs_tar: Path) -> Iterator[Engine]:
    """Run a dockerd whose default runtime is ours."""
    requirements.commands("dockerd", "docker")
    with daemons.docker_on(RUNTIME, "oci", scratch, containerd, rootfs_tar) as cli:
        yield cli


@pytest.fixture(params=["docker_on_ours", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    if request.param == "podman":
        return Engine((*found.command, "--runtime", RUNTIME), scratch=found.scratch)
    return found


@pytest.fixture
def run(engine: Engine) -> Run:
    """Return a function that runs a script in a container and gives what it wrote."""

    def run(script: str, *options: str) -> str:
        return engine(
            "run", "--rm", *QUIET, *limits(engine), *options, daemons.IMAGE, "sh", "-c", script
        )

    return run


def limits(engine: Engine) -> tuple[str, ...]:
    """Return what keeps Podman from raising limits that a host may not let it raise."""
    if engine.command[0] != "podman":
        return ()
    return ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@contextlib.contextmanager
def sleeping(engine: Engine, name: str, *options: str) -> Iterator[str]:
    arguments = ("--detach", "--name", name, *QUIET, *limits(engine), *options)
    engine("run", *arguments, daemons.IMAGE, "sleep", "1000")
    try:
        yield name
    finally:
        engine("rm", "--force", name)


def status(engine: Engine, name: str) -> str:
    return engine("inspect", "--format", "{{.State.Status}}", name)


def test_an_engine_gets_the_output_and_the_exit_status(engine: Engine) -> None:
    arguments = ("run", "--name", "ends", *QUIET, *limits(engine), daemons.IMAGE)
    try:
        assert engine(*arguments, "sh", "-c", "id -u; exit 5", check=False) == "0"
        assert engine("inspect", "--format", "{{.State.ExitCode}}", "ends") == "5"
    finally:
        engine("rm", "--force", "ends")


def test_an_engine_has_its_options_obeyed(run: Run) -> None:
    options = (
        *("--user", "1000:1001", "--env", "FLOWER=rose", "--workdir", "/tmp", "--hostname", "box"),
        *("--read-only", "--tmpfs", "/scratch:size=1m", "--cap-drop", "all", "--cap-add", "kill"),
    )
    script = (
        "id -u; id -g; echo $FLOWER; pwd; cat /proc/sys/kernel/hostname; echo 2>&- >/file || echo no;"
        "echo x > /scratch/file && cat /scratch/file; head -n 60 /proc/self/status"
    )
    words = run(script, *options).splitlines()
    assert words[:7] == ["1000", "1001", "rose", "/tmp", "box", "no", "x"]
    assert "CapBnd:\t0000000000000020" in words
    assert "Seccomp:\t2" in words


def test_an_engine_runs_more_processes_and_gives_them_a_terminal(engine: Engine) -> None:
    with sleeping(engine, "execs") as name:
        assert engine("exec", name, "cat", "/proc/1/cmdline").startswith("sleep")
        assert engine("exec", "--user", "7:8", name, "id", "-g") == "8"
        assert (
            engine("exec", "--tty", name, "ls", "-l", "/proc/self/fd/0")
            .rstrip()
            .endswith("/dev/pts/0")
        )


def test_an_engine_freezes_thaws_and_counts(engine: Engine) -> None:
    with sleeping(engine, "counts", "--memory", "64m", "--pids-limit", "50") as name:
        engine("pause", name)
        assert status(engine, name) == "paused"
        engine("unpause", name)
        assert status(engine, name) == "running"
        assert "sleep 1000" in engine("top", name)
        assert engine("stats", "--no-stream", "--format", "{{.PIDs}}", name) == "1"


def test_an_engine_stops_starts_and_kills(engine: Engine) -> None:
    with sleeping(engine, "again") as name:
        engine("stop", "--time", "0", name)
        assert status(engine, name) == "exited"
        engine("start", name)
        assert status(engine, name) == "running"
        engine("kill", name)
        command.eventually(lambda: status(engine, name) == "exited")


def test_an_engine_is_told_that_there_is_no_such_command(engine: Engine) -> None:
    done = engine(
        "run", "--rm", *QUIET, *limits(engine), daemons.IMAGE, "nonesuch; echo $?", check=False
    )
    assert done == ""
    inner = engine.command
    script = " ".join((*inner, "run", "--rm", *QUIET, *limits(engine), daemons.IMAGE, "nonesuch"))
    shell = Engine(("sh", "-c"), scratch=engine.scratch)
    assert (
        shell(f"{script} 2>&1 >/dev/null | tail -n 9; true").count("executable file not found") >= 1
    )
    assert shell(f"{script} >/dev/null 2>&1; echo $?") == "127"


def test_docker_changes_limits_of_a_running_container(docker_on_ours: Engine) -> None:
    with sleeping(docker_on_ours, "limited", "--memory", "64m") as name:
        docker_on_ours("update", "--memory", "96m", "--memory-swap", "96m", "--cpus", "0.5", name)
        usage = docker_on_ours("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
        assert usage.endswith("/ 96MiB")


def test_containerd_runs_tasks_by_its_runc_shim(containerd: Engine, containerd_image: str) -> None:
    options = ("--runc-binary", RUNTIME, containerd_image)
    containerd("run", "--detach", "--memory-limit", "64000000", *options, "oci", "sleep", "1000")
    try:
        assert "sleep" in containerd(
            "tasks", "exec", "--exec-id", "e", "oci", "cat", "/proc/1/cmdline"
        )
        containerd("tasks", "pause", "oci")
        assert "PAUSED" in containerd("tasks", "ls")
        containerd("tasks", "resume", "oci")
        metrics = json.loads(containerd("tasks", "metrics", "--format", "json", "oci"))
        assert metrics
        containerd("tasks", "kill", "--signal", "KILL", "oci")
        command.eventually(lambda: "STOPPED" in containerd("tasks", "ls"))
    finally:
        containerd("tasks", "rm", "--force", "oci", check=False)
        containerd("containers", "rm", "oci")


def test_containerd_ends_what_a_container_of_the_hosts_pids_leaves(
    containerd: Engine, containerd_image: str
) -> None:
    script = "sleep 54321 & exit 3"
    options = ("--runc-binary", RUNTIME, "--with-ns", "pid:/proc/self/ns/pid", containerd_image)
    containerd("run", "--rm", *options, "shares", "sh", "-c", script, check=False)
    assert "54321" not in Engine(("ps",))("-ef")
