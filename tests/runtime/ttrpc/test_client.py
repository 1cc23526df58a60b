"""The asyncio client against a server on a real socket."""

import asyncio

import pytest

from runtime import errors
from runtime.ttrpc.client import TtrpcClient
from runtime.ttrpc.connection import Server


@pytest.fixture
async def served(tmp_path):
    """Serve `Echo`, `Later` (answered after the next one), `Never` and `Hangup`."""
    path = str(tmp_path / "s")
    tasks = set()

    def answer(server, call, later):
        if call.method == "Later":
            later.append(call)
        elif call.method == "Echo":
            for each in (call, *later):
                server.respond(each.stream, each.payload)
            later.clear()
        return call.method != "Hangup"

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        server, later, going = Server(), [], True
        while going and (data := await reader.read(65536)):
            going = [answer(server, call, later) for call in server.receive(data)][-1]
            writer.write(server.outgoing())
        writer.close()

    listener = await asyncio.start_unix_server(serve, path)
    yield f"unix://{path}"
    listener.close()
    for task in tasks:
        task.cancel()


async def test_calls_overlap_and_each_gets_its_own_answer(served):
    async with await TtrpcClient.connect(served) as client, asyncio.TaskGroup() as group:
        late = group.create_task(client.call("s", "Later", b"late"))
        await asyncio.sleep(0.01)
        others = [group.create_task(client.call("s", "Echo", b"%d" % n)) for n in range(50)]
    assert await late == b"late"
    assert [await each for each in others] == [b"%d" % n for n in range(50)]


async def test_a_deadline_ends_one_call_and_no_other(served):
    async with await TtrpcClient.connect(served) as client:
        with pytest.raises(errors.DeadlineExceeded, match=r"Never within 0\.05 s"):
            await client.call("s", "Never", b"", timeout_seconds=0.05)
        assert await client.call("s", "Echo", b"on", timeout_seconds=5) == b"on"


async def test_a_caller_that_reads_for_others_may_be_cancelled(served):
    async with await TtrpcClient.connect(served) as client, asyncio.TaskGroup() as group:
        first = group.create_task(client.call("s", "Never", b""))
        await asyncio.sleep(0.01)
        second = group.create_task(client.call("s", "Later", b"x"))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await client.call("s", "Echo", b"y") == b"y"
        assert await second == b"x"


async def test_a_server_that_hangs_up_makes_every_call_unavailable(served):
    async with await TtrpcClient.connect(served) as client:
        waiting = asyncio.ensure_future(client.call("s", "Never", b""))
        await asyncio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(errors.Unavailable, match="broke"):
                await client.call("s", "Hangup", b"")
        with pytest.raises(errors.Unavailable):
            await waiting


async def test_nobody_at_the_socket_is_unavailable(tmp_path):
    with pytest.raises(errors.Unavailable, match="cannot connect"):
        await TtrpcClient.connect(str(tmp_path / "nobody"))
