"""A shim by itself, and who takes its events."""

import asyncio
import os
import signal

import pytest

from runtime import errors
from runtime.proto import events
from runtime.shim import bundle
from runtime.ttrpc.connection import Server
from tests.runtime.shim.contract import Bundle


@pytest.fixture
def library(request):
    return str(request.config.rootpath)


@pytest.fixture
async def daemon(place):
    """What containerd is to a shim: takes its events."""
    found, tasks, behave = [], set(), {}

    def answer(server, call):
        if behave.get("fail", 0) > 0:
            behave["fail"] -= 1
            server.fail(call.stream, errors.Unavailable("try later"))
            return
        envelope = events.ForwardRequest.decode(call.payload).envelope
        assert (call.service, call.method) == (
            "containerd.services.events.ttrpc.v1.Events",
            "Forward",
        )
        kind = {f"containerd.events.{each.__name__}": each for each in events.TOPICS}[
            envelope.event.type_url
        ]
        assert events.TOPICS[kind] == envelope.topic
        found.append((envelope.topic, kind.decode(envelope.event.value)))
        server.respond(call.stream, b"")

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        server = Server()
        try:
            while data := await reader.read(65536):
                for call in server.receive(data):
                    answer(server, call)
                writer.write(server.outgoing())
        finally:
            writer.close()

    listener = await asyncio.start_unix_server(serve, f"{place}/c.sock.ttrpc")
    yield found, behave
    listener.close()
    for each in tasks:
        each.cancel()
    await asyncio.sleep(0)


@pytest.fixture
async def one(place, library, daemon):
    """A started shim, connected; at the end it is taken down as containerd does after a crash."""
    made = Bundle(place, library)
    connected = await made.connect()
    yield connected
    await connected.client.close()
    shim = bundle.Shim.load(made.path)
    if shim.alive():
        os.kill(shim.pid, signal.SIGKILL)
    made.call("-bundle", made.path, "delete")
