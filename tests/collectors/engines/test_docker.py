"""The Docker adapter against a real daemon, and against one that lies."""

import asyncio
import json
import time

import pytest

from collectors.engines.docker import DockerEngine
from collectors.engines.podman import PodmanEngine
from collectors.errors import Missing, Unavailable
from collectors.wire import docker_api
from collectors.wire.http import Http
from tests.collectors.wire.scripted import ok, server
from tests.engines import daemons


def engine_of(docker):
    return DockerEngine(docker.address.removeprefix("unix://"))


def run(docker, *command, options=()):
    return docker("run", "--detach", "--network=none", *options, daemons.IMAGE, *command)


@pytest.fixture
def sleeper(docker):
    """Return the id of a container that sleeps."""
    identifier = run(
        docker, "sleep", "1000", options=("--label", "tier=front", "--label", "odd=a=b\n\x1b[31m")
    )
    yield identifier
    docker("rm", "--force", identifier, check=False)


def of(reading, identifier):
    (found,) = [one for one in reading.containers if one.id == identifier]
    return found


@pytest.mark.engine
@pytest.mark.root
async def test_a_running_container_is_as_docker_inspect_says(docker, sleeper):
    one = of(await engine_of(docker).collect(), sleeper)
    said = docker.json("inspect", sleeper)[0]
    driver = said["GraphDriver"]["Data"]
    assert (one.engine, one.status, one.pid) == ("docker", "running", said["State"]["Pid"])
    assert one.name == said["Name"].removeprefix("/")
    assert (one.image, one.image_digest) == (daemons.IMAGE, said["Image"])
    assert one.labels == {"tier": "front", "odd": "a=b\n\x1b[31m"}
    assert one.command == ("sleep", "1000")
    assert one.lowerdirs == tuple(driver["LowerDir"].split(":"))
    assert one.upperdir == driver["UpperDir"]
    assert one.created_at is not None
    assert one.created_at.isoformat()[:19] == said["Created"][:19]
    assert one.started_at is not None
    assert one.started_at.isoformat()[:19] == said["State"]["StartedAt"][:19]
    assert (one.finished_at, one.exit_code) == (None, None)
    assert one.runtime == said["HostConfig"]["Runtime"]


@pytest.mark.engine
@pytest.mark.root
async def test_the_cgroup_is_where_the_kernel_has_its_process(docker, sleeper):
    one = of(await engine_of(docker).collect(), sleeper)
    with open(f"/proc/{one.pid}/cgroup") as cgroups:
        paths = {line.rstrip("\n").split(":", 2)[2] for line in cgroups}
    assert one.cgroup in paths


@pytest.mark.engine
@pytest.mark.root
async def test_the_version_is_the_daemons(docker):
    reading = await engine_of(docker).collect()
    assert reading.version == docker("version", "--format", "{{.Server.Version}}")


@pytest.mark.engine
@pytest.mark.root
async def test_a_stopped_container_has_its_exit_code_and_when(docker):
    identifier = run(docker, "sh", "-c", "exit 3")
    docker("wait", identifier)
    try:
        one = of(await engine_of(docker).collect(), identifier)
        said = docker.json("inspect", identifier)[0]["State"]
    finally:
        docker("rm", identifier)
    assert (one.status, one.exit_code, one.pid) == ("stopped", 3, None)
    assert one.finished_at is not None
    assert one.finished_at.isoformat()[:19] == said["FinishedAt"][:19]


@pytest.mark.engine
@pytest.mark.root
async def test_a_created_container_was_not_started(docker):
    identifier = docker("create", "--network=none", daemons.IMAGE, "true")
    try:
        one = of(await engine_of(docker).collect(), identifier)
    finally:
        docker("rm", identifier)
    assert (one.status, one.pid, one.started_at, one.exit_code) == ("created", None, None, None)


@pytest.mark.engine
@pytest.mark.root
async def test_a_container_that_could_not_start_tells_why(docker):
    identifier = docker("create", "--network=none", daemons.IMAGE, "/no/such/command")
    docker("start", identifier, check=False)
    try:
        one = of(await engine_of(docker).collect(), identifier)
    finally:
        docker("rm", identifier)
    assert one.error is not None
    assert "no such file" in one.error


@pytest.mark.engine
@pytest.mark.root
async def test_what_changes_between_two_readings_is_seen_by_the_second(docker, sleeper):
    engine = engine_of(docker)
    before = of(await engine.collect(), sleeper)
    docker("rename", sleeper, "cinspect-renamed")
    docker("restart", "--time", "0", sleeper)
    after = of(await engine.collect(), sleeper)
    assert after.name == "cinspect-renamed"
    assert after.pid not in {None, before.pid}
    docker("pause", sleeper)
    assert of(await engine.collect(), sleeper).status == "paused"
    docker("unpause", sleeper)
    assert of(await engine.collect(), sleeper).status == "running"
    docker("rm", "--force", sleeper)
    assert sleeper not in [one.id for one in (await engine.collect()).containers]


@pytest.mark.engine
@pytest.mark.root
async def test_a_steady_reading_is_one_request(docker, sleeper, monkeypatch):
    engine = engine_of(docker)
    of(await engine.collect(), sleeper)
    await engine.collect()
    targets = []
    ask = Http.get_bytes

    async def spy(self, target):
        targets.append(target.partition("?")[0])
        return await ask(self, target)

    monkeypatch.setattr(Http, "get_bytes", spy)
    await engine.collect()
    assert targets == ["/containers/json"]


@pytest.mark.engine
@pytest.mark.root
async def test_every_event_is_told_once(docker):
    engine = engine_of(docker)
    await engine.collect()
    identifier = run(docker, "sleep", "1000")
    first = (await engine.collect()).events
    docker("pause", identifier)
    docker("rm", "--force", identifier)
    rest = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and "/container/destroy" not in [one.topic for one in rest]:
        rest += (await engine.collect()).events
        await asyncio.sleep(0.1)
    for _ in range(3):
        rest += (await engine.collect()).events
    mine = [one for one in (*first, *rest) if one.container == identifier]
    topics = [one.topic for one in mine]
    assert topics[:2] == ["/container/create", "/container/start"]
    assert topics.count("/container/pause") == 1
    assert topics[-1] == "/container/destroy"
    assert len(topics) == len(set(topics)), topics
    assert all(one.source == "docker" for one in mine)
    assert mine == sorted(mine, key=lambda one: one.timestamp)
    assert mine[0].event["Action"] == "create"


@pytest.mark.engine
@pytest.mark.root
async def test_an_event_is_told_once_though_the_stream_breaks_off(docker):
    engine = engine_of(docker)
    for _ in range(2):
        await engine.collect()
    names, found = [], []
    for number in range(6):
        name = f"cinspect-broken-{number}"
        docker("create", "--name", name, "--network=none", daemons.IMAGE, "true")
        names.append(name)
        if number % 2:
            engine.close()
        found += (await engine.collect()).events
    docker("rm", *names)
    deadline = time.monotonic() + 10
    while [one.topic for one in found].count("/container/destroy") < 6:
        assert time.monotonic() < deadline
        found += (await engine.collect()).events
        await asyncio.sleep(0.05)
    for topic in ("/container/create", "/container/destroy"):
        told = [one.event["Actor"]["Attributes"]["name"] for one in found if one.topic == topic]
        assert sorted(told) == names
    assert "events-lost" not in [one.topic for one in found]
    engine.close()


@pytest.mark.engine
@pytest.mark.root
async def test_the_first_reading_has_the_events_that_the_daemon_kept(docker, sleeper):
    events = (await engine_of(docker).collect()).events
    assert "/container/start" in [one.topic for one in events if one.container == sleeper]
    assert len(events) <= 200


async def test_without_a_socket_it_is_missing(tmp_path):
    with pytest.raises(Missing):
        await DockerEngine(str(tmp_path / "none.sock")).collect()


VERSION = ok(b'{"Version":"1.0"}')
INFO = ok(b'{"CgroupDriver":"cgroupfs"}')
LIST = ok(json.dumps([{"Id": "abc", "State": "running", "Names": ["/x"]}]).encode())


async def test_a_container_that_goes_away_after_it_was_listed_is_told_as_listed(tmp_path):
    path = str(tmp_path / "s.sock")
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with server(path, VERSION, INFO, ok(b""), LIST, gone):
        (one,) = (await DockerEngine(path).collect()).containers
    assert (one.id, one.name, one.status, one.pid) == ("abc", "x", "running", None)


async def test_an_id_that_would_be_another_request_is_not_asked_for(tmp_path):
    path = str(tmp_path / "s.sock")
    listed = ok(json.dumps([{"Id": "../../info?x=/", "State": "running"}]).encode())
    async with server(path, VERSION, INFO, ok(b""), listed) as requests:
        (one,) = (await DockerEngine(path).collect()).containers
    assert (one.id, one.pid) == ("../../info?x=/", None)
    assert len(requests) == 4


@pytest.mark.parametrize(
    "answers",
    [
        (ok(b"{}"),),
        (ok(b'{"Version":1}'),),
        (VERSION, ok(b"[]")),
        (VERSION, INFO, ok(b"nonsense")),
        (VERSION, INFO, ok(b'{"timeNano":' + b"9" * 18 + b"}\n{")),
        (VERSION, INFO, ok(b'{"time":9999999999999999}')),
        (VERSION, INFO, ok(b'{"a":' + b"[" * 9999 + b"]" * 9999 + b"}")),
        (VERSION, INFO, ok(b""), ok(b'[{"Id":5}]')),
        (VERSION, INFO, ok(b""), ok(b'[{"Names":[]}]')),
        (VERSION, INFO, ok(b""), LIST, ok(b'{"Id":"abc"}')),
        (VERSION, INFO, ok(b""), LIST),
    ],
)
async def test_a_daemon_that_lies_is_unavailable(tmp_path, answers):
    path = str(tmp_path / "s.sock")
    async with server(path, *answers):
        with pytest.raises(Unavailable) as raised:
            await DockerEngine(path).collect()
    assert raised.value.path == path


async def test_details_of_very_many_containers_come_with_the_next_readings(tmp_path, monkeypatch):
    monkeypatch.setattr(docker_api, "_ASKED_AT_ONCE", 2)
    path = str(tmp_path / "s.sock")
    listed = ok(json.dumps([{"Id": name, "State": "running"} for name in "abc"]).encode())

    def details(name, pid):
        return ok(json.dumps({"Id": name, "State": {"Pid": pid}}).encode())

    engine = DockerEngine(path)
    async with server(path, VERSION, INFO, ok(b""), listed, details("a", 1), details("b", 2)):
        assert [one.pid for one in (await engine.collect()).containers] == [1, 2, None]
    (tmp_path / "s.sock").unlink(missing_ok=True)
    async with server(path, ok(b""), listed, details("c", 3)):
        assert [one.pid for one in (await engine.collect()).containers] == [1, 2, 3]


async def test_a_daemon_that_comes_back_is_asked_anew(tmp_path):
    path = str(tmp_path / "s.sock")
    engine = DockerEngine(path)
    async with server(path, VERSION, INFO, ok(b""), ok(b"null")):
        assert (await engine.collect()).version == "1.0"
    with pytest.raises((Missing, Unavailable)):
        await engine.collect()
    (tmp_path / "s.sock").unlink(missing_ok=True)
    async with server(path, ok(b'{"Version":"2.0"}'), INFO, ok(b""), ok(b"[]")):
        assert (await engine.collect()).version == "2.0"


@pytest.mark.parametrize("kind", [DockerEngine, PodmanEngine])
async def test_what_a_reading_heard_that_nobody_waited_for_is_in_the_next_one(tmp_path, kind):
    path = str(tmp_path / "s.sock")
    happened = {
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "abc"},
        "timeNano": time.time_ns(),
    }
    line = ok(json.dumps(happened).encode() + b"\n")
    engine = kind(path)
    about = (VERSION, INFO) if kind is DockerEngine else (VERSION,)
    async with server(path, *about, line):  # and then no list comes
        with pytest.raises((Unavailable, TimeoutError)):
            async with asyncio.timeout(0.5):
                await engine.collect()
    (tmp_path / "s.sock").unlink(missing_ok=True)
    for again, expected in ((about, ["/container/start"]), ((), [])):
        async with server(path, *again, line, ok(b"[]")):
            reading = await engine.collect()
        (tmp_path / "s.sock").unlink(missing_ok=True)
        assert [one.topic for one in reading.events] == expected


async def test_a_container_without_anything_but_an_id_is_one(tmp_path):
    path = str(tmp_path / "s.sock")
    bare = ok(b'{"Id":"abc","State":{}}')
    async with server(path, VERSION, INFO, ok(b""), ok(b'[{"Id":"abc","Labels":null}]'), bare):
        (one,) = (await DockerEngine(path).collect()).containers
    assert (one.id, one.name, one.status, one.labels) == ("abc", None, None, {})


async def test_podmans_service_that_is_asked_as_docker_is_still_podman(tmp_path):
    path = str(tmp_path / "s")
    version = ok(b'{"Version":"4.3.1","Components":[{"Name":"Podman Engine"},{"Name":"Conmon"}]}')
    listed = ok(b'[{"Id":"abc","State":"running"}]')
    async with server(path, version, INFO, ok(b""), listed, ok(b'{"Id":"abc","State":{"Pid":1}}')):
        (one,) = (await DockerEngine(path).collect()).containers
    assert one.engine == "podman"
