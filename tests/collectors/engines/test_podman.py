"""The Podman adapter against a real service."""

import time

import pytest

from collectors.engines.podman import PodmanEngine
from collectors.errors import Missing
from tests.engines import daemons

LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""Podman's own are above what a host without CAP_SYS_RESOURCE may set."""


def engine_of(podman):
    return PodmanEngine(podman.address.removeprefix("unix://"))


def of(reading, identifier):
    (found,) = [one for one in reading.containers if one.id == identifier]
    return found


@pytest.fixture
def sleeper(podman):
    """Return the id of a container that sleeps."""
    identifier = podman(
        *("run", "--detach", "--network=none", "--label", "tier=front", *LIMITS),
        *(daemons.IMAGE, "sleep", "1000"),
    )
    yield identifier
    podman("rm", "--force", "--time=0", identifier)


@pytest.mark.engine
@pytest.mark.root
async def test_a_running_container_is_as_podman_inspect_says(podman, sleeper):
    reading = await engine_of(podman).collect()
    one = of(reading, sleeper)
    said = podman.json("inspect", sleeper)[0]
    assert reading.version == podman("version", "--format", "{{.Client.Version}}")
    assert (one.engine, one.status, one.pid) == ("podman", "running", said["State"]["Pid"])
    assert one.name == said["Name"]
    assert one.image == said["ImageName"]
    assert one.image_digest == said["ImageDigest"]
    assert one.labels == {"tier": "front"}
    assert one.command == ("sleep", "1000")
    assert one.shim is not None
    assert one.shim.pid == said["State"]["ConmonPid"]
    assert one.runtime == said["OCIRuntime"]
    assert one.lowerdirs == tuple(said["GraphDriver"]["Data"]["LowerDir"].split(":"))
    assert one.upperdir == said["GraphDriver"]["Data"]["UpperDir"]
    assert one.created_at is not None
    assert one.created_at.isoformat()[:19] == said["Created"][:19]
    with open(f"/proc/{one.pid}/cgroup") as cgroups:
        assert one.cgroup in {line.rstrip("\n").split(":", 2)[2] for line in cgroups}


@pytest.mark.engine
@pytest.mark.root
async def test_a_stopped_container_has_its_exit_code(podman):
    identifier = podman(
        *("run", "--detach", "--network=none", *LIMITS, daemons.IMAGE, "sh", "-c", "exit 3")
    )
    podman("wait", identifier)
    try:
        one = of(await engine_of(podman).collect(), identifier)
    finally:
        podman("rm", identifier)
    assert (one.status, one.exit_code, one.pid) == ("stopped", 3, None)
    assert one.finished_at is not None
    assert one.started_at is not None


@pytest.mark.engine
@pytest.mark.root
async def test_a_container_of_a_pod_names_it(podman):
    pod = podman("pod", "create", "--name=cinspect-group", "--infra=false")
    try:
        identifier = podman("create", f"--pod={pod}", "--network=none", daemons.IMAGE, "true")
        one = of(await engine_of(podman).collect(), identifier)
    finally:
        podman("pod", "rm", "--force", "--time=0", pod)
    assert one.pod == "cinspect-group"
    assert one.status == "created"


@pytest.mark.engine
@pytest.mark.root
async def test_what_changes_between_two_readings_is_seen_by_the_second(podman, sleeper):
    engine = engine_of(podman)
    before = of(await engine.collect(), sleeper)
    podman("restart", "--time=0", sleeper)
    deadline = time.monotonic() + 10
    while (after := of(await engine.collect(), sleeper)).pid in {None, before.pid}:
        assert time.monotonic() < deadline, after
    podman("pause", sleeper)
    assert of(await engine.collect(), sleeper).status == "paused"
    podman("unpause", sleeper)


@pytest.mark.engine
@pytest.mark.root
async def test_every_event_is_told_once(podman, sleeper):
    engine = engine_of(podman)
    first = (await engine.collect()).events
    podman("pause", sleeper)
    podman("unpause", sleeper)
    rest = [*(await engine.collect()).events, *(await engine.collect()).events]
    topics = [one.topic for one in (*first, *rest) if one.container == sleeper]
    for topic in ("create", "start", "pause", "unpause"):
        assert topics.count(f"/container/{topic}") == 1, topics
    assert [one.topic for one in rest if one.container == sleeper] == [
        "/container/pause",
        "/container/unpause",
    ]


async def test_without_a_socket_it_is_missing(tmp_path):
    with pytest.raises(Missing):
        await PodmanEngine(str(tmp_path / "none.sock")).collect()
