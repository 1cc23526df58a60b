"""Docker's containers, seen through its socket and without it."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests import command
from tests.engines import daemons, seen
from tests.engines.daemons import Engine

pytestmark = [pytest.mark.engine, pytest.mark.root]

COMMAND = "echo new > /etc/new; rm /bin/ls; while :; do sleep 1; done"
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@pytest.fixture(scope="module")
def web(docker: Engine) -> Iterator[str]:
    """Return the id of a container with limits, which has changed two files."""
    identifier = docker(
        *("run", "--detach", "--name", "cinspect-web", "--network", "none"),
        *("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--label", "tier=front"),
        *(daemons.IMAGE, "sh", "-c", COMMAND),
    )
    command.eventually(lambda: "D /bin/ls" in docker("diff", identifier))
    yield identifier
    docker("rm", "--force", identifier)


def test_its_socket_gives_names(docker: Engine, web: str) -> None:
    one = seen.container(web, docker.environment)
    assert one["name"] == "cinspect-web"
    assert one["engine"] == "docker"
    assert one["image"] == daemons.IMAGE
    assert one["labels"]["tier"] == "front"
    assert one["status"] == "running"
    assert one["command"] == ["sh", "-c", COMMAND]
    inspected = docker.json("inspect", web)[0]
    assert one["pid"] == inspected["State"]["Pid"]
    assert one["created_at"][:19] == inspected["Created"][:19]


def test_the_kernel_alone_gives_its_id_and_engine(web: str) -> None:
    one = seen.container(web)
    assert one["engine"] == "docker"
    assert one["status"] == "running"
    assert any(web in evidence or "cgroup" in evidence for evidence in one["evidence"])


def test_kernel_and_socket_agree_on_what_the_kernel_knows(docker: Engine, web: str) -> None:
    alone, named = seen.container(web), seen.container(web, docker.environment)
    for key in ("pid", "namespaces", "cgroups", "shared_with_host"):
        assert alone[key] == named[key], key
    for layer in named["rootfs"]["layers"]:
        layer["digest"] = None  # only the engine knows
    assert alone["rootfs"] == named["rootfs"]


def test_its_processes_are_those_of_docker_top(docker: Engine, web: str) -> None:
    def agree() -> bool:
        # It starts a `sleep` each second, so one of two readings may be older than the other.
        lines = docker("top", web, "-eo", "pid").splitlines()[1:]
        return set(seen.container(web)["pids"]) == {int(line) for line in lines}

    command.eventually(agree)


def test_its_limits_are_what_was_asked_for(web: str) -> None:
    resources = seen.container(web)["resources"]
    assert resources["memory"]["limit_bytes"] == 64 << 20
    assert resources["pids"]["limit"] == 50
    assert resources["cpu"]["limit_cores"] == 0.5


def test_its_working_set_is_what_docker_stats_says(docker: Engine, web: str) -> None:
    usage = docker.json("stats", "--no-stream", "--format", "{{json .}}", web)["MemUsage"]
    number, unit = re.fullmatch(r"([\d.]+)(\w+) / 64MiB", usage).groups()  # type: ignore[union-attr]
    ours = seen.container(web)["resources"]["memory"]["working_set_bytes"]
    assert ours == pytest.approx(float(number) * UNITS[unit], abs=512 << 10)


def test_its_layers_are_those_docker_mounted(docker: Engine, web: str) -> None:
    driver = docker.json("inspect", web)[0]["GraphDriver"]["Data"]
    rootfs = seen.container(web)["rootfs"]
    assert rootfs["driver"] == "overlay"
    paths: dict[str, list[str]] = {}
    for layer in rootfs["layers"]:
        paths.setdefault(layer["role"], []).append(layer["path"])
    assert paths["upper"] == [driver["UpperDir"]]
    assert paths["merged"] == [driver["MergedDir"]]
    assert same_directories(paths["lower"], driver["LowerDir"].split(":"))


def same_directories(ours: list[str], theirs: list[str]) -> bool:
    """Tell whether both name the same directories; Docker mounts through short symbolic links."""
    return [inode(path) for path in ours] == [inode(path) for path in theirs]


def inode(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def test_it_shares_with_the_host_what_docker_left_shared(docker: Engine, web: str) -> None:
    one = seen.container(web)
    assert "user" in one["shared_with_host"]
    assert not {"mnt", "pid", "net", "uts", "ipc"} & set(one["shared_with_host"])


def test_its_shim_is_named(web: str) -> None:
    shim = seen.container(web)["shim"]
    assert shim["pid"] > 1


def test_a_paused_one_is_paused_with_and_without_the_socket(docker: Engine, web: str) -> None:
    docker("pause", web)
    try:
        assert seen.container(web)["status"] == "paused"
        assert seen.container(web, docker.environment)["status"] == "paused"
    finally:
        docker("unpause", web)
    assert seen.container(web)["status"] == "running"


def test_a_stopped_one_is_known_through_the_socket_alone(docker: Engine) -> None:
    identifier = docker("run", "--detach", "--network", "none", daemons.IMAGE, "sh", "-c", "exit 3")
    docker("wait", identifier)
    try:
        one: Any = seen.container(identifier, docker.environment)
        assert (one["status"], one["exit_code"], one["pid"]) == ("stopped", 3, None)
        assert one["resources"] is None
        assert identifier not in json.dumps(seen.containers())
    finally:
        docker("rm", "--force", identifier)


def test_its_containers_are_not_shown_again_as_containerds(
    docker: Engine, containerd: Engine, web: str
) -> None:
    one = seen.container(web, {**docker.environment, **containerd.environment})
    assert (one["engine"], one["name"]) == ("docker", "cinspect-web")


def test_one_that_shares_anothers_network_names_it(docker: Engine, web: str) -> None:
    identifier = docker(
        "run", "--detach", "--network", f"container:{web}", daemons.IMAGE, "sleep", "1000"
    )
    try:
        assert seen.container(identifier)["shared_with"]["net"] == [web]
        assert seen.container(web)["shared_with"]["net"] == [identifier]
    finally:
        docker("rm", "--force", identifier)


def test_freeze_and_thaw_go_through_docker_where_it_answers(docker: Engine, web: str) -> None:
    command.succeed("freeze", web, environment=docker.environment)
    try:
        assert docker.json("inspect", web)[0]["State"]["Paused"] is True
    finally:
        command.succeed("thaw", web, environment=docker.environment)
    assert docker.json("inspect", web)[0]["State"]["Paused"] is False


def test_freeze_and_thaw_go_through_the_kernel_where_it_does_not(web: str) -> None:
    command.succeed("freeze", web, environment=seen.HIDDEN)
    try:
        assert seen.container(web)["status"] == "paused"
    finally:
        command.succeed("thaw", web, environment=seen.HIDDEN)
    assert seen.container(web)["status"] == "running"


def test_exec_runs_inside_it(docker: Engine, web: str) -> None:
    output = command.succeed("exec", web, "cat", "/etc/new", environment=docker.environment)
    assert output == "new"


def test_its_layers_have_the_digests_that_the_image_gives_them(docker: Engine, web: str) -> None:
    two = "cinspect-test-two:1"
    docker("commit", web, two)
    identifier = docker("run", "--detach", "--network", "none", two)
    try:
        layers = seen.container(identifier, docker.environment)["rootfs"]["layers"]
    finally:
        docker("rm", "--force", identifier)
    expected = docker.json("image", "inspect", two)[0]["RootFS"]["Layers"]
    docker("rmi", two)
    told = [layer["digest"] for layer in layers if layer["role"] == "lower"]
    assert len(expected) == 2
    # The uppermost is Docker's own, with what it mounts on /etc/hosts and the like.
    assert told == [None, *reversed(expected)]
