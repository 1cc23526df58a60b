"""HTTP over a unix socket: every way that a peer can answer, or not."""

import asyncio
import contextlib
import io
import os
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import Denied, Missing, Unavailable
from collectors.wire import http
from collectors.wire.failures import Refused
from collectors.wire.http_unix import connect
from tests.collectors.wire.scripted import chunked, ok, server


@pytest.fixture
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("s") / "s.sock")


async def get(path, target="/x"):
    async with connect(path) as client:
        return await client.get_bytes(target)


async def test_a_body_with_a_length_is_returned(path):
    async with server(path, ok(b"hello")) as requests:
        assert await get(path, "/containers/json?all=1") == b"hello"
    assert requests[0].startswith(b"GET /containers/json?all=1 HTTP/1.1\r\n")


async def test_a_body_in_chunks_is_put_together(path):
    async with server(path, chunked(b"he", b"l" * 70000, b"o")):
        assert await get(path) == b"he" + b"l" * 70000 + b"o"


async def test_a_body_that_ends_with_the_connection_is_returned(path):
    async with server(path, b"HTTP/1.0 200 OK\r\n\r\nhello"):
        assert await get(path) == b"hello"


async def test_one_connection_serves_several_requests(path):
    async with server(path, ok(b"1"), chunked(b"2"), ok(b"3")) as requests, connect(path) as client:
        assert [await client.get_bytes(f"/{index}") for index in range(3)] == [b"1", b"2", b"3"]
        assert len(requests) == 3


async def test_an_informational_answer_is_passed_over(path):
    async with server(path, b"HTTP/1.1 103 Early Hints\r\n\r\n" + ok(b"x")):
        assert await get(path) == b"x"


async def test_an_answer_split_anywhere_is_the_same_answer(path):
    whole = chunked(b"hello", b"world")
    for cut in range(1, len(whole)):

        async def serve(reader, writer, cut=cut):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(whole[cut:])
            writer.close()

        async with await asyncio.start_unix_server(serve, path):
            assert await get(path) == b"helloworld"
        os.unlink(path)


async def test_json_is_decoded_as_what_was_asked_for(path):
    async with server(path, ok(b"[1,2]"), ok(b"null"), ok(b"[3]")), connect(path) as client:
        assert await client.get("/x", list[int]) == [1, 2]
        assert await client.get_list("/x", int) == []
        assert await client.get_list("/x", int) == [3]


@pytest.mark.parametrize("body", [b"", b"{", b"[", b'["x"]', b"\xff", b"{}", b"[" * 100_000])
async def test_json_of_another_kind_is_unavailable(path, body):
    async with server(path, ok(body)), connect(path) as client:
        with pytest.raises(Unavailable, match="not expected") as raised:
            await client.get("/x", list[int])
    assert raised.value.path == path


async def test_json_that_nests_without_end_is_unavailable(path):
    deep = b"[" * 100_000 + b"]" * 100_000
    async with server(path, ok(deep)), connect(path) as client:
        with pytest.raises(Unavailable, match="nests too deep"):
            await client.get("/x", list[object])


async def test_an_error_status_is_refused_with_the_engines_reason(path):
    body = b'{"message":"no such container: x"}'
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with server(path, answer):
        with pytest.raises(Refused, match="404: no such container: x") as raised:
            await get(path)
    assert (raised.value.status, raised.value.path) == (404, path)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01" * 100,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_a_peer_that_speaks_otherwise_is_unavailable(path, answer):
    async with server(path, answer):
        with pytest.raises(Unavailable) as raised:
            await get(path)
    assert raised.value.path == path


async def test_more_than_the_cap_is_refused_before_it_is_all_there(path, monkeypatch):
    monkeypatch.setattr(http, "_BODY_MAX", 1 << 20)
    async with server(path, chunked(*[b"x" * 65536] * 100)):
        with pytest.raises(Unavailable, match="more than 1 MiB"):
            await get(path)


async def test_a_hang_ends_at_the_callers_deadline_and_leaves_nothing_open(path):
    async with server(path, b"HTTP/1.1 200 OK\r\n", hang=True):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await get(path)
        await asyncio.sleep(0.01)
        # One end each: the server's own notices when its peer is gone.
        assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_no_socket_is_missing(path):
    with pytest.raises(Missing, match="No such file") as raised:
        await get(path)
    assert raised.value.path == path


async def test_a_socket_that_nobody_listens_at_is_unavailable(path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with pytest.raises(Unavailable, match="refused"):
        await get(path)


async def test_a_file_that_is_no_socket_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable):
        await get(str(tmp_path / "file"))


async def test_a_path_too_long_for_a_socket_is_unavailable():
    with pytest.raises(Unavailable, match="too long"):
        await get("/" + "x" * 200)


@pytest.mark.root
async def test_a_socket_that_this_user_may_not_use_is_denied(path):
    async with server(path, ok(b"x")):
        os.chmod(path, 0o600)
        os.chmod(os.path.dirname(path), 0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(Denied):
                await get(path)
        finally:
            os.seteuid(0)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.binary(max_size=300))
def test_whatever_the_bytes_the_answer_is_bytes_or_unavailable(path, data):
    async def scenario():
        async with server(path, b"HTTP/1.1 200 OK\r\n" + data):
            with contextlib.suppress(Unavailable):
                assert isinstance(await get(path), bytes)
        os.unlink(path)

    asyncio.run(scenario())


async def test_a_header_of_an_answer_without_a_body_is_returned(path):
    answer = b"HTTP/1.1 200 OK\r\nX-Stat: e30=\r\nContent-Length: 40\r\n\r\n"
    async with server(path, ok(b"{}"), answer, answer) as requests, connect(path) as client:
        await client.get_bytes("/first")
        assert await client.head("/x", "X-Stat") == "e30="
        assert await client.head("/x", "X-Other") == ""
    assert requests[1].startswith(b"HEAD /x HTTP/1.1\r\n")


async def test_a_head_that_is_refused_says_the_status(path):
    async with (
        server(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n"),
        connect(path) as client,
    ):
        with pytest.raises(Refused) as caught:
            await client.head("/x", "X-Stat")
    assert caught.value.status == 404


async def test_a_file_is_put_in_pieces_from_where_it_stands(path):
    got = []

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        while size := int(await reader.readline(), 16):
            got.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        writer.write(ok(b""))
        await writer.drain()
        writer.close()

    content = io.BytesIO(b"-" + b"x" * 3_000_000)
    content.seek(1)
    async with await asyncio.start_unix_server(serve, path), connect(path) as client:
        await client.upload("/x", content)
    assert b"".join(got) == b"x" * 3_000_000
    assert len(got) > 1


async def test_what_is_put_and_refused_before_all_of_it_came_says_why(path):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 19\r\n\r\n" + b'{"message":"full!"}')
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, path), connect(path) as client:
        with pytest.raises(Refused, match="full!"):
            await client.upload("/x", io.BytesIO(b"x" * 30_000_000))
