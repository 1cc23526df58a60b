"""Docker's events over breaks, restarts and nonsense: each once, or it is said that some are lost."""

import asyncio
import contextlib
import json
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import CollectError, Unavailable
from collectors.wire import docker_events
from collectors.wire.docker_events import Events
from collectors.wire.http_lines import HttpLines
from collectors.wire.http_unix import connect
from tests.collectors.wire.scripted import ok


def line(number, *, action="start"):
    """Return an event of so many tenths of a second ago."""
    at = time.time_ns() - number * 100_000_000
    actor = {"ID": f"c{number}", "Attributes": {"name": "web"}}
    said = {"Type": "container", "Action": action, "Actor": actor, "timeNano": at}
    return json.dumps(said).encode() + b"\n"


class Daemon:
    """Answers `/events` from a list; one without `until` it follows."""

    def __init__(self):
        self.kept = []
        self.open = []
        self.asked = []

    @contextlib.asynccontextmanager
    async def at(self, path):
        async with await asyncio.start_unix_server(self._serve, path):
            yield self
            self.cut()

    async def _serve(self, reader, writer):
        with (
            contextlib.closing(writer),
            contextlib.suppress(asyncio.IncompleteReadError, ConnectionError),
        ):
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                self.asked.append(target)
                if "until=" in target:
                    writer.write(ok(b"".join(self.kept)))
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.open.append(writer)
                for one in self.kept:
                    self._chunk(writer, one)

    def _chunk(self, writer, data):
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def say(self, data):
        self.kept.append(data)
        for writer in self.open:
            self._chunk(writer, data)

    def cut(self):
        while self.open:
            self.open.pop().close()


@pytest.fixture(autouse=True)
async def closed():
    """Let the servers' ends of connections close before the loop does."""
    yield
    await asyncio.sleep(0.05)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "d.sock")


@pytest.fixture
def events(path):
    made = Events(
        "docker",
        path,
        target="/events?since={since}&until={until}",
        first_seconds=float("inf"),
        follow="/events?since={since}",
    )
    yield made
    made.close()


async def read(events, path):
    async with connect(path) as http:
        found = await events.read(http)
        events.told()
    await asyncio.sleep(0.02)
    return [one.container or one.topic for one in found]


async def test_what_was_read_and_not_told_comes_again(events, path):
    async with Daemon().at(path) as daemon:
        daemon.say(line(50))
        async with connect(path) as http:
            assert len(await events.read(http)) == 1
        daemon.say(line(40))
        assert await read(events, path) == ["c50", "c40"]
        assert await read(events, path) == []


async def test_the_second_reading_begins_to_follow(events, path):
    async with Daemon().at(path) as daemon:
        daemon.say(line(50))
        assert await read(events, path) == ["c50"]
        assert await read(events, path) == []
        daemon.say(line(1))
        await asyncio.sleep(0.02)
        assert await read(events, path) == ["c1"]
        assert await read(events, path) == []
        assert len(daemon.asked) == 3


async def test_nothing_is_lost_or_doubled_over_breaks(events, path):
    async with Daemon().at(path) as daemon:
        found = []
        for number in range(30, 0, -1):
            daemon.say(line(number))
            if number % 4 == 0:
                daemon.cut()
                await asyncio.sleep(0.01)
            found += await read(events, path)
        found += await read(events, path)
    assert found == [f"c{number}" for number in range(30, 0, -1)]


async def test_a_daemon_that_began_anew_lost_what_it_kept(events, path):
    async with Daemon().at(path) as daemon:
        await read(events, path)
        daemon.say(line(2))
        await read(events, path)
        daemon.cut()
        daemon.kept = [line(1)]
        await asyncio.sleep(0.02)
        assert await read(events, path) == ["events-lost", "c1"]


async def test_more_than_a_daemon_keeps_is_said(events, path):
    async with Daemon().at(path) as daemon:
        daemon.say(line(900))
        await read(events, path)
        daemon.kept = [line(number) for number in range(256, 0, -1)]
        found = await read(events, path)
    assert found[0] == "events-lost"
    assert len(found) == 257


async def test_a_line_that_is_no_event_costs_itself(events, path):
    async with Daemon().at(path) as daemon:
        daemon.kept = [line(3), b'{"Type": 5}\n', b"nonsense\n", b'{"timeNano": 1e40}\n', line(2)]
        assert await read(events, path) == ["c3", "c2"]
        assert events.problem is not None
        assert events.problem.path == path
        await read(events, path)
        daemon.say(b"[]\n" + line(1))
        await asyncio.sleep(0.02)
        assert await read(events, path) == ["c1"]


async def test_an_error_is_a_problem_and_the_next_reading_asks_for_the_same(events, path):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(refuse, path):
        assert await read(events, path) == []
        assert events.problem is not None
    os.unlink(path)
    async with Daemon().at(path) as daemon:
        daemon.kept = [line(3)]
        assert await read(events, path) == ["c3"]
        assert events.problem is None


async def until_it_breaks(lines):
    for _ in range(100):
        await asyncio.sleep(0.01)
        lines.take()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * ((1 << 20) + 1),
        b"",
    ],
)
async def test_an_answer_that_is_no_stream_is_unavailable(path, answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        with contextlib.closing(HttpLines(path, "/events")) as lines, pytest.raises(Unavailable):
            await until_it_breaks(lines)


async def test_lines_come_however_their_bytes_are_split(path):
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na\nbb\n\r\n3\r\ncc\n\r\n"

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await writer.drain()
        await reader.read()
        writer.close()

    found = []
    async with await asyncio.start_unix_server(serve, path):
        with contextlib.closing(HttpLines(path, "/events")) as lines:
            for _ in range(100):
                await asyncio.sleep(0.005)
                found += lines.take()
    assert found == [b"a", b"bb", b"cc"]


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_an_event_or_refused(data):
    with contextlib.suppress(ValueError):
        docker_events.event("docker", data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["Type", "Action", "Actor", "timeNano", "time", "id"]), JSON, max_size=5
    )
)
def test_json_of_any_kind_is_an_event_or_refused(said):
    with contextlib.suppress(ValueError):
        docker_events.event("docker", json.dumps(said).encode())


@given(st.binary(max_size=100))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_peer_that_says_anything_gives_lines_or_is_unavailable(tmp_path_factory, data):
    path = str(tmp_path_factory.mktemp("s") / "s.sock")

    async def scenario():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
            writer.close()

        async with await asyncio.start_unix_server(serve, path):
            with contextlib.closing(HttpLines(path, "/x")) as lines:
                for _ in range(5):
                    await asyncio.sleep(0.002)
                    lines.take()

    async def whole():
        with contextlib.suppress(CollectError):
            await scenario()
        await asyncio.sleep(0.01)

    asyncio.run(whole())
