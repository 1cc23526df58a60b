"""containerd's containers, seen through its socket and without it."""

from collections.abc import Iterator

import pytest

from tests import command
from tests.engines import seen
from tests.engines.daemons import Engine

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def task(containerd: Engine, containerd_image: str) -> Iterator[str]:
    """Return the id of a running container with a limit and a label."""
    identifier = "cinspect-task"
    containerd(
        *(
            "run",
            "--detach",
            "--fifo-dir",
            f"{containerd.scratch}/fifos",
            "--memory-limit",
            str(64 << 20),
            "--label",
            "tier=front",
        ),
        *(containerd_image, identifier, "sleep", "1000"),
    )
    yield identifier
    containerd("tasks", "rm", "--force", identifier)
    containerd("containers", "rm", identifier)


def test_its_socket_gives_image_labels_and_namespace(containerd: Engine, task: str) -> None:
    one = seen.container(task, containerd.environment)
    assert one["engine"] == "containerd"
    assert one["engine_namespace"] == containerd.scratch.name
    assert one["image"].endswith("cinspect-test:1")
    assert one["labels"]["tier"] == "front"
    assert one["status"] == "running"
    assert one["runtime"] == "io.containerd.runc.v2"


def test_the_kernel_alone_finds_it_by_its_shim(task: str) -> None:
    one = seen.container(task)
    assert one["engine"] == "containerd"
    assert one["shim"]["pid"] > 1
    assert one["resources"]["memory"]["limit_bytes"] == 64 << 20


def test_its_first_process_is_the_tasks(containerd: Engine, task: str) -> None:
    lines = [line.split() for line in containerd("tasks", "ls").splitlines()[1:]]
    pids = {name: int(pid) for name, pid, _ in lines}
    assert seen.container(task)["pid"] == pids[task]


def test_a_paused_one_is_paused_with_and_without_the_socket(containerd: Engine, task: str) -> None:
    containerd("tasks", "pause", task)
    try:
        assert seen.container(task)["status"] == "paused"
        assert seen.container(task, containerd.environment)["status"] == "paused"
    finally:
        containerd("tasks", "resume", task)


def test_freeze_shows_in_containerds_own_list(containerd: Engine, task: str) -> None:
    command.succeed("freeze", task, environment=containerd.environment)
    try:
        assert "PAUSED" in containerd("tasks", "ls")
    finally:
        command.succeed("thaw", task, environment=containerd.environment)
    assert "PAUSED" not in containerd("tasks", "ls")


def test_its_layers_have_the_digests_that_the_image_gives_them(
    containerd: Engine, task: str
) -> None:
    one = seen.container(task, containerd.environment)
    told = [layer["digest"] for layer in one["rootfs"]["layers"] if layer["role"] == "lower"]
    manifest = containerd.json("content", "get", one["image_digest"])
    config = containerd.json("content", "get", manifest["config"]["digest"])
    assert told == list(reversed(config["rootfs"]["diff_ids"]))
