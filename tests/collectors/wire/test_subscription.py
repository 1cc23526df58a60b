"""The stream of containerd's events, from a peer that says whatever it likes."""

import contextlib
import os
import socket
import struct
from contextlib import contextmanager

import h2.config
import h2.connection
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.errors import Missing, Unavailable
from collectors.wire.containerd.messages import message, unpack
from collectors.wire.containerd.subscription import Subscription


@contextmanager
def subscribed(path):
    """Yield a subscription and its peer's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        subscription = Subscription(path)
        peer, _ = listening.accept()
        with peer, contextlib.closing(subscription):
            yield subscription, peer
    os.unlink(path)


class Daemon:
    """The peer's side of HTTP/2, which has got the request and answers it."""

    def __init__(self, peer):
        self.peer = peer
        config = h2.config.H2Configuration(client_side=False)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.requested = self.connection.receive_data(peer.recv(65536))
        self.connection.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])

    def say(self, data, step=None):
        """Send bytes of the stream, all at once or some at a time."""
        self.connection.send_data(1, data)
        wire = self.connection.data_to_send()
        for start in range(0, len(wire), step or len(wire)):
            self.peer.sendall(wire[start : start + (step or len(wire))])
            yield


def envelope(topic, kind="TaskStart", **fields):
    event = message(f"containerd.events.{kind}")(**fields)
    whole = message("containerd.events.Envelope")(topic=topic, namespace="ns")
    whole.event.type_url = f"containerd.events.{kind}"
    whole.event.value = event.SerializeToString()
    body = whole.SerializeToString()
    return struct.pack(">BI", 0, len(body)) + body


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "s.sock")


def test_the_request_is_for_every_event(path):
    with subscribed(path) as (_, peer):
        (request,) = [one for one in Daemon(peer).requested if hasattr(one, "headers")]
        headers = {bytes(key): bytes(value) for key, value in request.headers}
    assert headers[b":path"] == b"/containerd.services.events.v1.Events/Subscribe"
    assert headers[b"content-type"] == b"application/grpc"


@pytest.mark.parametrize("step", [None, 1, 7])
def test_events_come_however_their_bytes_are_split(path, step):
    with subscribed(path) as (subscription, peer):
        daemon = Daemon(peer)
        assert subscription.take() == []
        data = envelope("/tasks/start", container_id="a", pid=5) + envelope("/tasks/oom", "TaskOOM")
        found = []
        for _ in daemon.say(data, step):
            found += subscription.take()
    assert [one.topic for one in found] == ["/tasks/start", "/tasks/oom"]
    assert unpack(found[0].event) == {"container_id": "a", "pid": 5}


def test_an_event_of_a_kind_that_is_not_known_tells_its_kind():
    packed = message("containerd.events.Envelope")()
    packed.event.type_url = "type.googleapis.com/of.another.Kind"
    assert unpack(packed.event) == {"type": "of.another.Kind"}
    packed.event.type_url = "containerd.events.TaskExit"
    packed.event.value = b"\xff\xff"
    assert unpack(packed.event) == {"type": "containerd.events.TaskExit"}


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">BI", 0, 5 << 20) + b"x" * 10,
        struct.pack(">BI", 1, 2) + b"xx",
        struct.pack(">BI", 0, 2) + b"\xff\xff",
    ],
)
def test_a_message_that_is_none_is_unavailable(path, data):
    with subscribed(path) as (subscription, peer):
        list(Daemon(peer).say(data))
        with pytest.raises(Unavailable) as raised:
            subscription.take()
    assert raised.value.path == path


def test_an_end_of_the_stream_is_unavailable(path):
    with subscribed(path) as (subscription, peer):
        daemon = Daemon(peer)
        daemon.connection.end_stream(1)
        peer.sendall(daemon.connection.data_to_send())
        with pytest.raises(Unavailable, match="ended the stream"):
            subscription.take()


def test_a_closed_connection_is_unavailable(path):
    with subscribed(path) as (subscription, peer):
        peer.close()
        with pytest.raises(Unavailable):
            subscription.take()


def test_no_socket_is_missing(path):
    with pytest.raises(Missing):
        Subscription(path)


def test_a_subscription_that_is_forgotten_closes_its_descriptor(path):
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        subscription = Subscription(path)
        assert len(os.listdir("/proc/self/fd")) == before + 2
        del subscription
    assert len(os.listdir("/proc/self/fd")) == before


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.binary(max_size=200), framed=st.booleans())
def test_whatever_the_bytes_there_are_no_events_or_it_is_unavailable(path, data, framed):
    with subscribed(path) as (subscription, peer):
        if framed:
            list(Daemon(peer).say(data))
        else:
            peer.sendall(data)
        with contextlib.suppress(Unavailable):
            assert all(isinstance(one.topic, str) for one in subscription.take())
