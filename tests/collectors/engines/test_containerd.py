"""The containerd adapter against a real daemon, and against sockets that speak otherwise."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines import containerd as adapter
from collectors.engines.containerd import ContainerdEngine
from collectors.errors import Missing, Unavailable
from collectors.wire.containerd import layers
from collectors.wire.containerd.client import connect
from collectors.wire.failures import Refused
from tests.collectors.wire.scripted import server


def of(reading, identifier):
    (found,) = [one for one in reading.containers if one.id == identifier]
    return found


@pytest.fixture
def sleeper(containerd, containerd_image):
    """Return the id of a container that sleeps."""
    identifier = "cinspect-sleeper"
    containerd(
        *("run", "--detach", "--label", "tier=front"),
        *("--cgroup", f"/{containerd.scratch.name}/{identifier}"),
        *(containerd_image, identifier, "sleep", "1000"),
    )
    yield identifier
    containerd("tasks", "kill", "--signal", "KILL", identifier, check=False)
    deadline = time.monotonic() + 10
    while "STOPPED" not in containerd("tasks", "ls") and time.monotonic() < deadline:
        time.sleep(0.05)
    containerd("tasks", "rm", identifier, check=False)
    containerd("containers", "rm", identifier)


@pytest.mark.engine
@pytest.mark.root
async def test_a_running_container_is_as_ctr_says(containerd, containerd_image, sleeper):
    reading = await ContainerdEngine(containerd.address).collect()
    one = of(reading, sleeper)
    said = containerd.json("containers", "info", sleeper)
    assert (one.engine, one.engine_namespace) == ("containerd", containerd.scratch.name)
    assert (one.status, one.command) == ("running", ("sleep", "1000"))
    assert one.labels == said["Labels"]
    assert one.labels["tier"] == "front"
    assert (one.image, one.runtime) == (containerd_image, said["Runtime"]["Name"])
    (line,) = [line for line in containerd("tasks", "ls").splitlines() if sleeper in line]
    assert one.pid == int(line.split()[1])
    assert one.cgroup == said["Spec"]["linux"]["cgroupsPath"]
    assert one.created_at is not None
    assert one.created_at.isoformat()[:19] == said["CreatedAt"][:19]
    listed = containerd("images", "ls")
    assert one.image_digest is not None
    assert one.image_digest in listed


@pytest.mark.engine
@pytest.mark.root
async def test_the_layers_are_those_that_are_mounted(containerd, sleeper):
    one = of(await ContainerdEngine(containerd.address).collect(), sleeper)
    with open(f"/proc/{one.pid}/mountinfo") as mounts:
        root = next(line for line in mounts if line.split()[4] == "/")
    assert f"upperdir={one.upperdir}," in root
    assert one.lowerdirs
    assert all(os.path.isdir(path) for path in one.lowerdirs)


@pytest.mark.engine
@pytest.mark.root
async def test_pausing_and_ending_are_seen_by_the_next_reading(containerd, sleeper):
    engine = ContainerdEngine(containerd.address)
    await engine.collect()
    containerd("tasks", "pause", sleeper)
    assert of(await engine.collect(), sleeper).status == "paused"
    containerd("tasks", "resume", sleeper)
    containerd("tasks", "kill", "--signal", "KILL", sleeper)
    deadline = time.monotonic() + 10
    while (one := of(await engine.collect(), sleeper)).status != "stopped":
        assert time.monotonic() < deadline, one
    assert (one.exit_code, one.pid) == (137, None)
    assert one.finished_at is not None


@pytest.mark.engine
@pytest.mark.root
async def test_the_client_pauses_and_resumes_as_ctr_does(containerd, sleeper):
    async with connect(containerd.address) as client:
        await client.pause(containerd.scratch.name, sleeper)
        assert "PAUSED" in containerd("tasks", "ls")
        await client.resume(containerd.scratch.name, sleeper)
        assert "PAUSED" not in containerd("tasks", "ls")
        with pytest.raises(Refused, match="NOT_FOUND"):
            await client.pause(containerd.scratch.name, "cinspect-absent")


@pytest.mark.engine
@pytest.mark.root
async def test_a_record_without_a_task_is_created(containerd, containerd_image):
    containerd("containers", "create", containerd_image, "cinspect-record", "true")
    try:
        one = of(await ContainerdEngine(containerd.address).collect(), "cinspect-record")
    finally:
        containerd("containers", "rm", "cinspect-record")
    assert (one.status, one.pid, one.exit_code) == ("created", None, None)
    assert one.upperdir is not None


@pytest.mark.engine
@pytest.mark.root
async def test_the_version_is_the_daemons(containerd):
    reading = await ContainerdEngine(containerd.address).collect()
    assert f"Version:  {reading.version}" in containerd("version").partition("Server:")[2]


@pytest.mark.engine
@pytest.mark.root
async def test_collecting_keeps_one_descriptor_and_leaves_none(containerd):
    before = len(os.listdir("/proc/self/fd"))
    engine = ContainerdEngine(containerd.address)
    for _ in range(5):
        await engine.collect()
    await asyncio.sleep(0.01)  # a transport closes when the loop comes round
    assert len(os.listdir("/proc/self/fd")) == before + 1, "the stream of events"
    del engine
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.engine
@pytest.mark.root
async def test_events_come_from_the_second_reading_on_each_once(containerd, containerd_image):
    engine = ContainerdEngine(containerd.address)
    name = "cinspect-events"
    try:
        for _ in range(2):
            assert (await engine.collect()).events == ()
        containerd(
            *("run", "--cgroup", f"/{containerd.scratch.name}/{name}", "--rm"),
            *(containerd_image, name, "sh", "-c", "exit 3"),
            check=False,  # it ends as its command does
        )
        found = []
        deadline = time.monotonic() + 10
        while "/containers/delete" not in [one.topic for one in found]:
            assert time.monotonic() < deadline, found
            found += (await engine.collect()).events
        found += (await engine.collect()).events
    finally:
        engine.close()
    mine = [one for one in found if one.container == name]
    assert [one.topic for one in mine] == [
        "/containers/create",
        "/tasks/create",
        "/tasks/start",
        "/tasks/exit",
        "/tasks/delete",
        "/containers/delete",
    ]
    assert {one.engine_namespace for one in mine} == {containerd.scratch.name}
    (ended,) = [one for one in mine if one.topic == "/tasks/exit"]
    assert ended.event["exit_status"] == 3
    assert ended.event["pid"] == mine[2].event["pid"]
    assert abs(ended.timestamp.timestamp() - time.time()) < 60


@pytest.mark.engine
@pytest.mark.root
async def test_many_events_between_two_readings_are_all_told(containerd):
    engine = ContainerdEngine(containerd.address)
    try:
        for _ in range(2):
            await engine.collect()
        for index in range(40):
            containerd("namespaces", "create", f"cinspect-many-{index}", f"x={'y' * 4000}")
            containerd("namespaces", "remove", f"cinspect-many-{index}")
        made = []
        deadline = time.monotonic() + 10
        while len(made) < 40 and time.monotonic() < deadline:
            events = (await engine.collect()).events
            made += [one.event["name"] for one in events if one.topic == "/namespaces/create"]
    finally:
        engine.close()
    assert made == [f"cinspect-many-{index}" for index in range(40)]


async def test_without_a_socket_it_is_missing(tmp_path):
    with pytest.raises(Missing) as raised:
        await ContainerdEngine(str(tmp_path / "none.sock")).collect()
    assert raised.value.path == str(tmp_path / "none.sock")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 64, b"\0\0\0\xff\0\0\0\0\0" * 9]
)
async def test_a_socket_that_speaks_otherwise_is_unavailable(tmp_path, answer):
    path = str(tmp_path / "s.sock")
    async with server(path, answer):
        with pytest.raises(Unavailable) as raised:
            await ContainerdEngine(path).collect()
    assert raised.value.path == path


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/default/x", "/default/x"),
        ("default/x", "/default/x"),
        ("system.slice:docker:abc", "/system.slice/docker-abc.scope"),
        (":cri:abc", "/system.slice/cri-abc.scope"),
        ("a-b-c.slice:cri:abc", "/a.slice/a-b.slice/a-b-c.slice/cri-abc.scope"),
        ("-.slice:p:abc", "/p-abc.scope"),
        ("a.slice::b.slice", "/a.slice/b.slice"),
        ("", None),
        (None, None),
    ],
)
def test_a_cgroups_path_of_a_spec_is_where_the_cgroup_is(written, path):
    assert adapter._cgroup(written) == path


class Blobs:
    """A content store with these blobs."""

    def __init__(self, **blobs):
        self.blobs = blobs

    async def content(self, namespace, digest):
        assert namespace == "space"
        if digest not in self.blobs:
            raise Unavailable("c.sock", "Read", "not found")
        return self.blobs[digest]


LAYERS = [f"sha256:{letter * 64}" for letter in "abc"]


async def test_an_index_is_followed_to_the_platform_whose_layers_they_are():
    blobs = Blobs(
        index=b'{"manifests":[{"digest":"absent"},{"digest":"arm"},{"digest":"amd"}]}',
        arm=b'{"config":{"digest":"arm-config"}}',
        amd=b'{"config":{"digest":"amd-config"}}',
        **{"arm-config": b'{"rootfs":{"diff_ids":["sha256:00"]}}'},
        **{"amd-config": json.dumps({"rootfs": {"diff_ids": LAYERS}}).encode()},
    )
    chain = layers.chain_id(LAYERS)

    async def diff_ids(*words):
        return (await layers.layers(blobs, "space", *words)).diff_ids

    assert await diff_ids("index", chain) == tuple(LAYERS)
    assert await diff_ids("amd", chain) == tuple(LAYERS)
    assert await diff_ids("amd", layers.chain_id(LAYERS[:2])) == ()
    assert await diff_ids("absent", chain) == ()


@given(st.binary(max_size=60))
async def test_whatever_a_content_store_holds_is_no_error(data):
    assert await layers.layers(Blobs(any=data), "space", "any", "x") == layers.Layers()


def test_a_chain_id_is_as_the_specification_counts_it():
    assert layers.chain_id([]) == ""
    assert layers.chain_id(LAYERS[:1]) == LAYERS[0]
    second = hashlib.sha256(f"{LAYERS[0]} {LAYERS[1]}".encode()).hexdigest()
    assert layers.chain_id(LAYERS[:2]) == f"sha256:{second}"


def test_a_pod_is_named_with_its_namespace():
    labels = {"io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "shop"}
    assert adapter._pod(labels) == "shop/web"
    assert adapter._pod({}) is None


@pytest.mark.parametrize("folder", ["containerd", "cri"])
def test_what_is_shipped_is_what_the_definitions_compile_to(folder, tmp_path):
    directory = os.path.join(os.path.dirname(adapter.__file__), "../wire", folder)
    names = sorted(name for name in os.listdir(directory) if name.endswith(".proto"))
    compiled = tmp_path / "descriptors.binpb"
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I.", "--include_imports"),
            *(f"--descriptor_set_out={compiled}", *names),
        ],
        cwd=directory,
        check=True,
    )
    with open(os.path.join(directory, "descriptors.binpb"), "rb") as shipped:
        assert shipped.read() == compiled.read_bytes()


def test_nothing_of_grpc_is_loaded_before_a_socket_answers(tmp_path):
    script = (
        "import asyncio, json, os, sys; from collectors.registry import engines;"
        "from collectors.errors import CollectError\n"
        "async def ask():\n"
        " for one in engines(engine_root=sys.argv[1], engine_state=sys.argv[1]):\n"
        "  if not os.path.exists(one.address or '') or one.name == 'runc':\n"
        "   try: await one.collect()\n"
        "   except CollectError: pass\n"
        "asyncio.run(ask()); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "none")],
        capture_output=True,
        check=True,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(adapter.__file__))),
        env={name: value for name, value in os.environ.items() if "_HOST" not in name},
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {
        "h11",
        "grpclib",
        "h2",
        "google.protobuf",
        "pyroute2",
        "psutil",
        "runtime.api",
    }
