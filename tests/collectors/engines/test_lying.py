"""Engines that hang, lie, or speak a newer API cost their own row: a frame shows all the others.

Each kind is asked over a real socket, by the sampler, beside honest ones of every kind.
"""

import asyncio
import contextlib
import json
import struct
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.engines.containerd import ContainerdEngine
from collectors.engines.cri import CriEngine
from collectors.engines.docker import DockerEngine
from collectors.engines.podman import PodmanEngine
from collectors.errors import Unavailable
from collectors.root import Root
from collectors.wire.containerd.subscription import Subscription
from collectors.wire.http_lines import HttpLines
from inspector.derive import derive
from inspector.output.json import encode
from inspector.sampler import Deadlines, Sampler
from tests.collectors.wire import liars, mutations
from tests.collectors.wire.liars import endless, frame, saying

ENGINES = {
    "docker": DockerEngine,
    "podman": PodmanEngine,
    "containerd": ContainerdEngine,
    "cri": CriEngine,
}
HTTP = ("docker", "podman")
ANSWERS = {kind: liars.recorded(kind) for kind in ENGINES}
LISTS = {
    "docker": "/containers/json",
    "podman": "/v4.3.1/libpod/containers/json",
    "containerd": "/containerd.services.containers.v1.Containers/List",
    "cri": "/runtime.v1.RuntimeService/ListContainers",
}
SECONDS = 6.0
GROWTH_MIB = 600
"""What reading from four liars at once may take for a moment, the liars' own buffers among it."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HEADERS = frame(1, 4, 1, bytes([0x88, 0x5F, 16]) + b"application/grpc")
"""Of the first stream: status 200 and a content type (RFC 7541, 6.1 and 6.2.1)."""
DATA = frame(0, 0, 1, b"\x0a\0" * 8192)
LIES = {
    "hangs after accept": (saying(), saying()),
    "hangs after the headers": (saying(OK + b"Content-Length: 100\r\n\r\n"), saying(HEADERS)),
    "hangs within a chunk": (
        saying(CHUNKED + b"5\r\nhel"),
        saying(HEADERS, frame(0, 0, 1, struct.pack(">BI", 0, 100) + b"hel")),
    ),
    "ends within a chunk": (
        saying(CHUNKED + b"5\r\nhel", hang=False),
        saying(HEADERS, frame(0, 0, 1, struct.pack(">BI", 0, 100) + b"hel"), hang=False),
    ),
    "a length too short": (
        saying(OK + b'Content-Length: 5\r\n\r\n[{"Id":"x"}]', hang=False),
        saying(HEADERS, frame(0, 0, 1, struct.pack(">BI", 0, 2) + b"hello"), hang=False),
    ),
    "a length without end": (
        saying(OK + b"Content-Length: 9999999999999\r\n\r\n[", hang=False),
        saying(HEADERS, frame(0, 0, 1, b"\0\xff\xff\xff\xff["), hang=False),
    ),
    "another protocol": (
        saying(b"SSH-2.0-OpenSSH_9.2\r\n", hang=False),
        saying(b"SSH-2.0-OpenSSH_9.2\r\n" * 99, hang=False),
    ),
    "headers without end": (
        endless(OK, b"X: y\r\n"),
        endless(frame(1, 0, 1, b""), frame(9, 0, 1, b"\0\x01x\x01y" * 20)),
    ),
    "early hints without end": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        endless(b"", frame(6, 0, 0, b"12345678")),
    ),
    "chunks without end": (
        endless(CHUNKED, b"10000\r\n" + b"[" * 65536 + b"\r\n"),
        endless(HEADERS + frame(0, 0, 1, b"\0\xff\xff\xff\xff"), DATA),
    ),
    "small chunks without end": (
        endless(CHUNKED, b"1\r\n[\r\n"),
        endless(HEADERS + frame(0, 0, 1, b"\0\xff\xff\xff\xff"), frame(0, 0, 1, b"\n")),
    ),
    "empty frames without end": (
        endless(CHUNKED, b"00001\r\n \r\n"),
        endless(HEADERS, frame(0, 0, 1, b"")),
    ),
    "a stream that is reset": (
        saying(b"", hang=False),
        saying(HEADERS, frame(3, 0, 1, b"\0\0\0\2"), hang=False),
    ),
    "a farewell": (
        saying(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", hang=False),
        saying(frame(7, 0, 0, b"\0\0\0\0\0\0\0\2"), hang=False),
    ),
}
"""By what is done: to HTTP, and to gRPC."""


def serve(kind, path, *, answers=None, lies=None):
    server = liars.http if kind in HTTP else liars.grpc
    return server(path, answers or ANSWERS[kind], lies=lies)


async def frames(directory, told, *, honest=tuple(ENGINES), seconds=30.0):
    """Return a frame as JSON has it, with these liars' sockets by name and honest engines asked."""
    async with AsyncExitStack() as stack:
        engines = []
        for name, (kind, lie) in told.items():
            path = f"{directory}/{name}"
            await stack.enter_async_context(serve(kind, path, **lie))
            engines.append(ENGINES[kind](path, name=name))
        for kind in honest:
            path = f"{directory}/{kind}.sock"
            await stack.enter_async_context(serve(kind, path))
            engines.append(ENGINES[kind](path, name=f"honest-{kind}"))
        sampler = Sampler(Root("/nonexistent"), (), engines, deadlines=Deadlines(engine=seconds))
        try:
            sample = await sampler.sample(("containers",))
        finally:
            for engine in engines:
                getattr(engine, "close", lambda: None)()
        return json.loads(encode(derive(None, sample)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return by kind what is shown of an honest engine's containers where nobody lies, by id."""
    found = {}
    for kind in ENGINES:
        shown = asyncio.run(frames(tmp_path_factory.mktemp("h"), {}, honest=(kind,)))
        found[kind] = {one["id"]: one for one in shown["containers"]}
    assert [len(found[kind]) for kind in ENGINES] == [1, 1, 1, 2]  # the sandbox too
    return found


def honest_rows(alone, honest=tuple(ENGINES)):
    return {key: row for kind in honest for key, row in alone[kind].items()}


def of_honest(shown, rows):
    return {one["id"]: one for one in shown["containers"] if one["id"] in rows}


def peak_mib():
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    ]
    return int(line.split()[1]) / 1024


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("lie", LIES)
async def test_a_liar_costs_its_own_row_in_bounded_time_and_memory(tmp_path, alone, lie):
    rows = honest_rows(alone)
    http, grpc = LIES[lie]
    told = {
        f"liar-{kind}": (kind, {"lies": {"*": http if kind in HTTP else grpc}}) for kind in ENGINES
    }
    forget_peak()
    before = peak_mib()
    async with asyncio.timeout(60):
        shown = await frames(tmp_path, told, seconds=SECONDS)
    assert peak_mib() - before < GROWTH_MIB
    assert of_honest(shown, rows) == rows
    assert len(shown["containers"]) == len(rows)
    said = {one["name"]: one["error"] for one in shown["engines"]}
    for name in told:
        assert said[name]
        assert [one for one in shown["errors"] if one["path"] == f"{tmp_path}/{name}"]
    assert not any(said[f"honest-{kind}"] for kind in ENGINES)


HOSTILE = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def strategy(kind):
    """Return one target or method, and a hostile answer to it."""
    make = mutations.of_json if kind in HTTP else mutations.of_message
    return st.sampled_from(sorted(ANSWERS[kind])).flatmap(
        lambda target: st.tuples(st.just(target), make(ANSWERS[kind][target]))
    )


@pytest.mark.parametrize("kind", ENGINES)
@given(data=st.data())
@HOSTILE
async def test_a_hostile_answer_costs_the_liars_rows_alone(tmp_path_factory, alone, kind, data):
    target, lie = data.draw(strategy(kind))
    answers = {**ANSWERS[kind], target: lie}
    if target == "/events" and not isinstance(lie, list):
        answers[target] = [lie]
    honest = tuple(other for other in ENGINES if other != kind)
    directory = tmp_path_factory.mktemp("s")
    shown = await frames(directory, {"liar": (kind, {"answers": answers})}, honest=honest)
    rows = honest_rows(alone, honest)
    assert of_honest(shown, rows) == rows
    for error in shown["errors"]:
        assert error["path"] == f"{directory}/liar" or error["path"].startswith("/proc"), error
        assert error["error"] != "bug", error


@pytest.mark.parametrize("kind", HTTP)
async def test_a_list_of_millions_is_refused_before_it_is_made_of_objects(tmp_path, alone, kind):
    body = b"[" + b'{"Id":""},' * 5_000_000 + b'{"Id":""}]'
    forget_peak()
    before = peak_mib()
    liar = {"liar": (kind, {"lies": {LISTS[kind]: body}})}
    honest = tuple(other for other in ENGINES if other != kind)
    shown = await frames(tmp_path, liar, honest=honest)
    assert peak_mib() - before < GROWTH_MIB
    assert of_honest(shown, rows := honest_rows(alone, honest)) == rows
    (error,) = [one for one in shown["errors"] if one["path"] == f"{tmp_path}/liar"]
    assert "answered more than 2097152 values" in error["message"]


@pytest.mark.parametrize("kind", ["containerd", "cri"])
async def test_a_list_of_a_million_messages_is_refused(tmp_path, alone, kind):
    answers = {**ANSWERS[kind], LISTS[kind]: b"\x0a\x00" * 1_000_000}
    honest = tuple(other for other in ENGINES if other != kind)
    shown = await frames(tmp_path, {"liar": (kind, {"answers": answers})}, honest=honest)
    assert of_honest(shown, rows := honest_rows(alone, honest)) == rows
    (error,) = [one for one in shown["errors"] if one["path"] == f"{tmp_path}/liar"]
    assert "listed more than 50000" in error["message"]


async def test_a_message_without_end_is_refused_at_32_mib(tmp_path):
    lie = endless(HEADERS + frame(0, 0, 1, b"\0\xff\xff\xff\xff"), DATA)
    shown = await frames(tmp_path, {"liar": ("cri", {"lies": {"*": lie}})}, honest=())
    (error,) = [one for one in shown["errors"] if one["path"] == f"{tmp_path}/liar"]
    assert "more than 32 MiB" in error["message"]


async def test_one_that_hangs_does_not_silence_another_at_the_same_address(tmp_path):
    path = f"{tmp_path}/s"
    hang = {"/runtime.v1.RuntimeService/Version": saying()}
    async with liars.grpc(path, ANSWERS["containerd"], lies=hang):
        engines = [CriEngine(path), ContainerdEngine(path)]
        sampler = Sampler(Root("/nonexistent"), (), engines, deadlines=Deadlines(engine=2.0))
        for _ in range(2):
            sample = await sampler.sample(("containers",))
        for engine in engines:
            engine.close()
    cri, containerd = sample.engines
    assert cri.error == "it did not answer and is let be"
    assert (containerd.error, len(containerd.reading.containers)) == (None, 1)


FLOODS = {
    "tiny chunks": (CHUNKED, b"1\r\n[\r\n"),
    "empty lines": (CHUNKED, b"1\r\n\n\r\n"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


async def taking(stream: HttpLines | Subscription) -> float:
    """Let a flood come, take what has come of it, and return in how many seconds."""
    for _ in range(50):
        await asyncio.sleep(0)
    began = time.monotonic()
    with contextlib.suppress(Unavailable):
        stream.take()
    stream.close()
    return time.monotonic() - began


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_of_events_is_left_for_the_next_reading(tmp_path, flood):
    path = f"{tmp_path}/s"
    async with liars.http(path, {}, lies={"*": endless(*FLOODS[flood])}):
        stream = HttpLines(path, "/events")
        seconds = await taking(stream)
    assert seconds < 2.0


async def test_a_flood_of_pings_on_a_subscription_is_left_for_the_next_reading(tmp_path):
    path = f"{tmp_path}/s"
    flood = endless(b"", frame(6, 0, 0, b"12345678"))
    async with liars.grpc(path, {}, lies={"*": flood}):
        stream = Subscription(path)
        seconds = await taking(stream)
    assert seconds < 2.0
