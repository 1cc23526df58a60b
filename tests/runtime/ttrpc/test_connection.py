"""Both roles of a connection, joined without a socket."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import errors
from runtime.proto.wellknown import Request
from runtime.ttrpc import codec
from runtime.ttrpc.connection import Client, Server


def ask(client, server, payload=b"x", **more):
    stream = client.request("svc", "Method", payload=payload, **more)
    return stream, server.receive(client.outgoing())


def test_a_call_reaches_the_server_and_its_answer_the_client():
    client, server = Client(), Server()
    stream, (call,) = ask(client, server, b"question", timeout_nano=5, metadata={"k": "v"})
    assert (call.service, call.method, call.payload, call.timeout_nano) == (
        "svc",
        "Method",
        b"question",
        5,
    )
    server.respond(call.stream, b"answer")
    (answer,) = client.receive(server.outgoing())
    assert (answer.stream, answer.result("peer")) == (stream, b"answer")
    assert server.pending == 0


def test_answers_may_come_in_another_order():
    client, server = Client(), Server()
    first, (one,) = ask(client, server)
    second, (two,) = ask(client, server)
    server.respond(two.stream, b"2")
    server.respond(one.stream, b"1")
    assert [a.stream for a in client.receive(server.outgoing())] == [second, first]


@pytest.mark.parametrize(
    "kind", [*errors.BY_CODE.values(), errors.CommandNotFound, errors.CommandNotExecutable]
)
def test_an_error_arrives_as_its_own_class(kind):
    client, server = Client(), Server()
    _, (call,) = ask(client, server)
    server.fail(call.stream, kind("why"))
    (answer,) = client.receive(server.outgoing())
    with pytest.raises(kind, match="why") as caught:
        answer.result("peer")
    assert type(caught.value) is kind


def test_an_unknown_code_is_a_failure_with_the_peers_text():
    from runtime.proto.wellknown import Response, Status

    client = Client()
    body = Response(status=Status(code=99, message="odd")).encode()
    (answer,) = client.receive(codec.encode(1, codec.RESPONSE, body))
    with pytest.raises(errors.RuntimeFailure, match="odd"):
        answer.result("peer")


@pytest.mark.parametrize("stream", [2, 1, 0])
def test_an_even_or_used_stream_id_is_refused_on_that_stream(stream):
    client, server = Client(), Server()
    ask(client, server)
    request = codec.encode(stream, codec.REQUEST, Request(service="s", method="m").encode())
    assert server.receive(request) == []
    (answer,) = client.receive(server.outgoing())
    assert (answer.stream, answer.code) == (stream, errors.InvalidArgument.code)


def test_what_is_no_request_is_answered_and_the_connection_lives():
    client, server = Client(), Server()
    assert server.receive(codec.encode(1, codec.REQUEST, b"\xff\xff")) == []
    assert client.receive(server.outgoing())[0].code == errors.InvalidArgument.code
    client._next = 3
    _, calls = ask(client, server)
    assert len(calls) == 1


def test_a_request_that_is_too_long_fails_alone():
    client, server = Client(), Server()
    header = (codec.MAX_PAYLOAD + 1).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\x01\x00"
    assert server.receive(header) == []
    server.receive(bytes(codec.MAX_PAYLOAD + 1))
    assert client.receive(server.outgoing())[0].code == errors.ResourceExhausted.code
    client._next = 3
    _, (call,) = ask(client, server)
    server.respond(call.stream, bytes(codec.MAX_PAYLOAD))  # with its envelope, too long
    (answer,) = client.receive(server.outgoing())
    assert answer.code == errors.ResourceExhausted.code


def test_a_stream_of_requests_is_not_implemented():
    server = Server()
    body = Request(service="s", method="m").encode()
    assert server.receive(codec.encode(1, codec.REQUEST, body, flags=codec.REMOTE_OPEN)) == []
    (answer,) = Client().receive(server.outgoing())
    assert answer.code == errors.Unimplemented.code
    assert server.receive(codec.encode(1, codec.DATA, b"more", flags=codec.REMOTE_CLOSED)) == []


def test_a_call_is_answered_once():
    client, server = Client(), Server()
    _, (call,) = ask(client, server)
    server.fail(call.stream, errors.DeadlineExceeded("late"))
    server.respond(call.stream, b"too late")
    assert len(client.receive(server.outgoing())) == 1


@given(st.binary(max_size=200))
def test_hostile_bytes_never_break_a_server(data):
    server = Server()
    for call in server.receive(data):
        server.respond(call.stream, b"")
    Client().receive(server.outgoing())


@given(st.binary(max_size=200))
def test_hostile_bytes_are_a_protocol_error_to_a_client_at_most(data):
    client = Client()
    with contextlib.suppress(errors.ProtocolError):
        client.receive(data)
