"""Docker's and Podman's own words, field by field, beside what a dump says of the same containers."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from tests import command, requirements
from tests.engines import daemons, inspected, seen
from tests.engines.daemons import Engine
from tests.engines.side_by_side import unnoticed
from tests.engines.test_podman import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]

LOOP: Final = "while :; do sleep 1; done"
NAMES: Final = ("running", "plain", "sharing", "paused", "ended", "killed", "created")


def options(engine: Engine) -> Mapping[str, tuple[str, ...]]:
    """Return how each container is started."""
    volume = engine.scratch / "side-volume"
    volume.mkdir(exist_ok=True)
    podman = engine.command[0] == "podman"
    none = ("--network", "none", *(LIMITS if podman else ()))
    host = ("--network", "host", *(LIMITS if podman else ()))
    published = none if podman else ("--publish", "127.0.0.1::80")
    return {
        "running": (
            *("--memory", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0"),
            *("--pids-limit", "50", "--label", "tier=front", "--label", 'odd=a "b"\t=c'),
            *("--user", "1000:1000", "--env", "A=1", "--hostname", "inside", "--workdir", "/tmp"),
            *("--volume", f"{volume}:/data:ro", "--volume", "cinspect-side:/kept"),
            *("--tmpfs", "/scratch", *published),
            *("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"),
            *("--security-opt", "no-new-privileges"),
            *(daemons.IMAGE, "sh", "-c", LOOP),
        ),
        "plain": (*none, "--read-only", daemons.IMAGE, "sleep", "1000"),
        "sharing": (
            *(*host, "--uts", "host", "--security-opt", "seccomp=unconfined"),
            *(daemons.IMAGE, "sleep", "1000"),
        ),
        "paused": (*none, daemons.IMAGE, "sh", "-c", LOOP),
        "ended": (*none, "--label", "tier=back", daemons.IMAGE, "sh", "-c", "exit 3"),
        "killed": (*none, daemons.IMAGE, "sleep", "1000"),
    }


@pytest.fixture(scope="module", params=("docker", "podman"))
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def started(engine: Engine) -> Iterator[Mapping[str, str]]:
    """Return the ids of containers in every state, by what they are."""
    ids: dict[str, str] = {}
    try:
        for name, words in options(engine).items():
            ids[name] = engine("run", "--detach", "--name", f"cinspect-side-{name}", *words)
        none = ("--network", "none", daemons.IMAGE, "true")
        ids["created"] = engine("create", "--name", "cinspect-side-created", *none)
        engine("pause", ids["paused"])
        engine("kill", ids["killed"])
        engine("wait", ids["ended"], ids["killed"])
        yield ids
    finally:
        engine("unpause", ids.get("paused", ""), check=False)
        at_once = ("--time", "0") if engine.command[0] == "podman" else ()
        engine("rm", "--force", "--volumes", *at_once, *ids.values())
        engine("volume", "rm", "cinspect-side")


@pytest.fixture(scope="module")
def asked(engine: Engine, started: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a dump, and by container what the engine said before and after it."""

    def ask() -> Mapping[str, Any]:
        return {name: inspected.words_of(engine, one) for name, one in started.items()}

    before = ask()
    sections = [word for name in inspected.SECTIONS for word in ("--section", name)]
    frame = command.dump("dump", *sections, environment={**seen.HIDDEN, **engine.environment})
    return {"frame": frame, "before": before, "after": ask()}


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_and_the_dump_say_the_same(
    name: str, engine: Engine, asked: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = asked["before"][name], asked["after"][name]
    table = inspected.compare(engine.command[0], before, after, asked["frame"])
    table.show(capsys)
    assert table.differing() == []


CLAIMED: Final = (
    *("id", "name", "engine", "image", "labels", "command", "status", "pid", "pids"),
    *("created_at", "started_at", "runtime", "rootfs.layers", "/mounts"),
    *("resources.memory.limit_bytes", "resources.memory.current_bytes", "resources.cpu.cpuset"),
    *("resources.cpu.usage_usec", "resources.cpu.shares"),
    *("resources.cpu.limit_cores", "resources.pids.current", "resources.pids.limit"),
    *("resources.network.rx_bytes", "resources.network.tx_packets", "shared_with_host"),
    *("security.privileged", "security.capabilities.bounding", "security.seccomp"),
    *("security.no_new_privs", "/processes"),
)
OF_DOCKER: Final = (
    *("resources.memory.working_set_bytes", "security.masked_paths", "security.readonly_paths"),
    *("namespaces.net", "/network", "/network_namespaces"),
)
OF_PODMAN: Final = ("shim.pid",)
OF_ENDED: Final = ("finished_at", "exit_code", "image_digest")


def test_the_comparison_notices_each_value_that_is_wrong(
    engine: Engine, asked: Mapping[str, Any], started: Mapping[str, str]
) -> None:
    kind = engine.command[0]
    claimed = {
        "running": (*CLAIMED, *(OF_DOCKER if kind == "docker" else OF_PODMAN)),
        "ended": OF_ENDED,
    }
    for name, paths in claimed.items():
        compare = partial(inspected.compare, kind, asked["before"][name], asked["after"][name])
        assert unnoticed(compare, asked["frame"], started[name], paths) == []


@pytest.fixture
def pod(podman: Engine) -> Iterator[tuple[str, str]]:
    """Return a pod's name and the id of a container in it, beside that which holds its namespaces."""
    requirements.commands("catatonit")
    name = "cinspect-side-pod"
    # What holds the namespaces takes no option of ours.
    configuration = podman.scratch / "containers.conf"
    configuration.write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    )
    podman = replace(podman, command=("env", f"CONTAINERS_CONF={configuration}", *podman.command))
    podman("pod", "create", "--name", name, "--network", "none", "--share", "net,ipc,uts")
    try:
        yield name, podman("run", "--detach", "--pod", name, daemons.IMAGE, "sleep", "99")
    finally:
        podman("pod", "kill", name)
        podman("pod", "rm", "--force", name)


def test_a_pod_of_podmans_is_told_as_podman_tells_it(podman: Engine, pod: tuple[str, str]) -> None:
    name, identifier = pod
    said = podman.json("pod", "inspect", name)
    by_id = {one["id"]: one for one in seen.containers(podman.environment)}
    assert {one["Id"] for one in said["Containers"]} <= set(by_id)
    infra = by_id[said["InfraContainerID"]]
    assert (infra["role"], infra["pod"]) == ("pod_sandbox", name)
    one = by_id[identifier]
    assert (one["role"], one["pod"]) == ("container", name)
    assert one["shared_with"]["net"] == [infra["id"]]
