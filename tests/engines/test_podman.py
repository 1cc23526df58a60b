"""Podman's containers, seen through its service's socket and without it."""

from collections.abc import Iterator

import pytest

from tests.engines import daemons, seen
from tests.engines.daemons import Engine

pytestmark = [pytest.mark.engine, pytest.mark.root]

# Podman asks for more than a host without CAP_SYS_RESOURCE gives.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@pytest.fixture(scope="module")
def web(podman: Engine) -> Iterator[str]:
    """Return the id of a container with a memory limit and a label."""
    identifier = podman(
        *("run", "--detach", "--name", "cinspect-pod", "--network", "none", *LIMITS),
        *("--memory", "64m", "--pids-limit", "50", "--label", "tier=front"),
        *(daemons.IMAGE, "sleep", "1000"),
    )
    yield identifier
    podman("rm", "--force", "--time", "0", identifier)


def test_its_socket_gives_names(podman: Engine, web: str) -> None:
    one = seen.container(web, podman.environment)
    assert (one["name"], one["engine"]) == ("cinspect-pod", "podman")
    assert one["image"].endswith(daemons.IMAGE)
    assert one["labels"]["tier"] == "front"


def test_the_kernel_alone_gives_its_id_engine_and_monitor(podman: Engine, web: str) -> None:
    one = seen.container(web)
    assert one["engine"] == "podman"
    assert one["pid"] == int(podman("inspect", "--format", "{{.State.Pid}}", web))
    assert one["shim"]["pid"] == int(podman("inspect", "--format", "{{.State.ConmonPid}}", web))


def test_its_limits_are_what_was_asked_for(web: str) -> None:
    resources = seen.container(web)["resources"]
    assert resources["memory"]["limit_bytes"] == 64 << 20
    assert resources["pids"]["limit"] == 50


def test_its_upper_layer_is_the_one_podman_mounted(podman: Engine, web: str) -> None:
    theirs = podman.json("inspect", web)[0]["GraphDriver"]["Data"]["UpperDir"]
    ours = [
        layer["path"]
        for layer in seen.container(web)["rootfs"]["layers"]
        if layer["role"] == "upper"
    ]
    assert ours == [theirs]


def test_a_paused_one_is_paused(podman: Engine, web: str) -> None:
    podman("pause", web)
    try:
        assert seen.container(web)["status"] == "paused"
        assert seen.container(web, podman.environment)["status"] == "paused"
    finally:
        podman("unpause", web)


def test_without_a_service_its_storage_names_what_is_stopped(podman: Engine) -> None:
    configuration = podman.scratch / "storage.conf"
    configuration.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{podman.scratch}/podman"\n'
    )
    identifier = podman(
        "create", "--name", "cinspect-idle", "--network", "none", daemons.IMAGE, "true"
    )
    try:
        one = seen.container(identifier, {"CONTAINERS_STORAGE_CONF": str(configuration)})
        assert (one["name"], one["engine"], one["status"]) == ("cinspect-idle", "podman", "stopped")
        assert one["image"].endswith(daemons.IMAGE)
        assert one["created_at"] is not None
    finally:
        podman("rm", identifier)


def test_without_a_service_a_running_one_has_its_name_from_its_monitor(web: str) -> None:
    assert seen.container(web)["name"] == "cinspect-pod"


def test_its_layers_have_the_digests_that_the_image_gives_them(podman: Engine, web: str) -> None:
    one = seen.container(web, podman.environment)
    told = [layer["digest"] for layer in one["rootfs"]["layers"] if layer["role"] == "lower"]
    image = podman.json("image", "inspect", daemons.IMAGE)[0]
    assert told == list(reversed(image["RootFS"]["Layers"]))
    assert one["image_digest"] == image["Digest"]
