"""Servers of gRPC that lie: whatever they say is an answer or `Unavailable`, and costs nobody else."""

import asyncio
import struct
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.engine import EngineReading
from collectors.engines.containerd import ContainerdEngine
from collectors.engines.cri import CriEngine
from collectors.errors import CollectError
from tests.engines.kubelet import encode

ENGINES = (ContainerdEngine, CriEngine)
HEADERS = ((":status", "200"), ("content-type", "application/grpc"))
FRAME = 16384
TRAILERS = (("grpc-status", "0"),)


@asynccontextmanager
async def speaking(path, body, *, trailers=TRAILERS, prefix=None):
    """Serve HTTP/2: answer each request with one message of these bytes, as gRPC frames them."""
    tasks = set()
    message = (prefix or struct.pack(">BI", 0, len(body))) + body

    def answer(connection, stream):
        connection.send_headers(stream, HEADERS)
        for at in range(0, len(message), FRAME):
            connection.send_data(stream, message[at : at + FRAME])
        connection.send_headers(stream, trailers, end_stream=True)

    async def converse(connection, reader, writer):
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    answer(connection, event.stream_id)
            writer.write(connection.data_to_send())
            await writer.drain()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        try:
            await converse(connection, reader, writer)
        except (ConnectionError, h2.exceptions.H2Error):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_unix_server(serve, path)
    async with listening:
        yield
        for task in tasks:
            task.cancel()


async def ask(engine, path):
    """Return the reading, or None where the engine says that it has none."""
    try:
        async with asyncio.timeout(20):
            return await engine(path).collect()
    except CollectError as error:
        if error.path != path:
            raise AssertionError(error.path) from error
        return None


@pytest.mark.parametrize("engine", ENGINES)
@given(body=st.binary(max_size=120))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_bytes_for_a_message_are_a_reading_or_unavailable(tmp_path_factory, engine, body):
    path = str(tmp_path_factory.mktemp("s") / "s")
    async with speaking(path, body):
        assert isinstance(await ask(engine, path), EngineReading | None)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "prefix",
    [
        struct.pack(">BI", 1, 0),  # compressed
        struct.pack(">BI", 0, 1 << 30),  # longer than what follows
        b"\0\0",  # cut short
    ],
)
async def test_a_message_framed_wrongly_is_unavailable(tmp_path, engine, prefix):
    path = str(tmp_path / "s")
    async with speaking(path, b"", prefix=prefix):
        assert await ask(engine, path) is None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("status", ["2", "16", "99", "x", "-1"])
async def test_a_status_of_failure_is_unavailable_known_or_not(tmp_path, engine, status):
    path = str(tmp_path / "s")
    async with speaking(path, b"", trailers=(("grpc-status", status),)):
        assert await ask(engine, path) is None


async def test_a_newer_server_is_understood_as_far_as_it_is_known(tmp_path):
    # Every answer is this one: version and pods and containers at once, with fields of the future.
    path = str(tmp_path / "s")
    body = encode({2: "Containerd", 3: "v99.0-next+later", 900: "new", 901: {1: "newer"}})
    async with speaking(path, body):
        reading = await ask(CriEngine, path)
    assert reading is not None
    assert reading.version == "v99.0-next+later"


async def test_a_list_of_very_many_is_a_reading(tmp_path):
    path = str(tmp_path / "s")
    body = encode({1: [{1: f"{number:064x}"} for number in range(5000)]})
    async with speaking(path, body):
        reading = await ask(CriEngine, path)
    assert reading is not None
    assert len(reading.containers) >= 5000
