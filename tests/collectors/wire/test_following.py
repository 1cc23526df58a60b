"""Streams that break off, and the events of the Container Runtime Interface, from a real gRPC server."""

import asyncio
import contextlib
import itertools
import time

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from collectors.engines.cri import CriEngine
from collectors.errors import Unavailable
from collectors.wire.cri.messages import message
from collectors.wire.failures import Refused
from collectors.wire.following import Following


class Broken:
    """A stream that gives what it was told to, then breaks off."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.closed = False

    def take(self):
        if not self.answers:
            raise Unavailable("/s", "m", "broke off")
        return self.answers.pop(0)

    def close(self):
        self.closed = True


def test_a_stream_that_breaks_off_is_begun_anew_and_what_is_missed_is_said(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    streams = [Broken(["a"]), Broken(["b"], [])]
    following = Following("x", lambda: streams.pop(0))
    assert following.take() == (["a"], ())
    assert following.take() == ((), ())
    assert following.problem is not None
    assert following.take() == ((), ()), "not at once"
    now[0] += 1
    found, (loss,) = following.take()
    assert (found, loss.topic, loss.source) == (["b"], "events-lost", "x")
    assert "broke off" in loss.event["why"]
    assert following.problem is None
    assert following.take() == ([], ())


def test_it_is_tried_less_and_less_often(monkeypatch):
    now, tried = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def begin():
        tried.append(now[0])
        raise Unavailable("/s", "connect", "refused")

    following = Following("x", begin)
    while now[0] < 200:
        now[0] += 0.25
        following.take()
    assert 8 <= len(tried) <= 11, tried
    assert max(b - a for a, b in itertools.pairwise(tried)) <= 60.5


def test_one_that_has_no_events_is_no_problem():
    def begin():
        raise Refused("/s", "m", "status 12: unknown method", status=12)

    following = Following("x", begin)
    assert following.take() == ((), ())
    assert following.problem is None


class Runtime:
    """A runtime that says what happened to containers."""

    def __init__(self, *, has_events):
        self.has_events = has_events
        self.told = asyncio.Queue()

    async def _answer(self, stream, name):
        await stream.recv_message()
        await stream.send_message(message(f"{name}Response")())

    async def _version(self, stream):
        await stream.recv_message()
        await stream.send_message(
            message("VersionResponse")(runtime_name="cri-o", runtime_version="1.28")
        )

    async def _pods(self, stream):
        await self._answer(stream, "ListPodSandbox")

    async def _containers(self, stream):
        await self._answer(stream, "ListContainers")

    async def _events(self, stream):
        if not self.has_events:
            raise GRPCError(Status.UNIMPLEMENTED, "unknown method GetContainerEvents")
        await stream.recv_message()
        while (told := await self.told.get()) is not None:
            await stream.send_message(told)

    def __mapping__(self):
        kinds = (
            ("Version", self._version, Cardinality.UNARY_UNARY, "Version"),
            ("ListPodSandbox", self._pods, Cardinality.UNARY_UNARY, "ListPodSandbox"),
            ("ListContainers", self._containers, Cardinality.UNARY_UNARY, "ListContainers"),
            ("GetContainerEvents", self._events, Cardinality.UNARY_STREAM, "GetEvents"),
        )
        return {
            f"/runtime.v1.RuntimeService/{name}": Handler(
                function,
                cardinality,
                message(f"{request}Request"),
                message("ContainerEventResponse" if request == "GetEvents" else f"{name}Response"),
            )
            for name, function, cardinality, request in kinds
        }


@contextlib.asynccontextmanager
async def served(path, runtime):
    server = Server([runtime])
    await server.start(path=path)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


def event(container, kind, at=1_700_000_000):
    said = message("ContainerEventResponse")(
        container_id=container, container_event_type=kind, created_at=at * 10**9
    )
    said.pod_sandbox_status.id = "pod"
    said.pod_sandbox_status.metadata.name = "web"
    said.pod_sandbox_status.metadata.namespace = "shop"
    return said


async def collect(engine):
    await asyncio.sleep(0.05)
    return await engine.collect()


async def test_a_runtimes_events_are_told_each_once(tmp_path):
    path = str(tmp_path / "c.sock")
    runtime = Runtime(has_events=True)
    async with served(path, runtime):
        engine = CriEngine(path)
        engine.listens = True
        assert (await engine.collect()).events == ()
        for kind in range(4):
            runtime.told.put_nowait(event("c1", kind, 1_700_000_000 + kind))
        runtime.told.put_nowait(event("c1", 77))
        runtime.told.put_nowait(event("c1", 1, -5))
        found = [*(await collect(engine)).events, *(await collect(engine)).events]
        engine.close()
    assert [one.topic for one in found] == [
        "/cri/created",
        "/cri/started",
        "/cri/stopped",
        "/cri/deleted",
    ]
    assert {(one.source, one.container) for one in found} == {("cri", "c1")}
    assert found[0].event["pod"] == "shop/web"
    assert found[1].timestamp.timestamp() == 1_700_000_001


async def test_a_runtime_that_has_no_events_is_as_good(tmp_path):
    path = str(tmp_path / "c.sock")
    async with served(path, Runtime(has_events=False)):
        engine = CriEngine(path)
        for _ in range(3):
            reading = await collect(engine)
            assert (reading.events, reading.problems) == ((), ())
        engine.close()


async def test_what_is_missed_between_two_runtimes_is_said(tmp_path):
    path = str(tmp_path / "c.sock")
    engine = CriEngine(path)
    runtime = Runtime(has_events=True)
    async with served(path, runtime):
        for _ in range(2):
            await collect(engine)
        runtime.told.put_nowait(None)
        await collect(engine)
    runtime = Runtime(has_events=True)
    async with served(path, runtime):
        runtime.told.put_nowait(event("c2", 1))
        found = []
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            with contextlib.suppress(Unavailable):
                found += (await collect(engine)).events
        engine.close()
    assert [one.topic for one in found] == ["events-lost", "/cri/started"]
