"""The shim's server: accepts clients of the same user, reads their requests, sends the answers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct

from runtime.errors import (
    DeadlineExceeded,
    Internal,
    RuntimeFailure,
    Unavailable,
    Unimplemented,
)
from runtime.proto.task import OWN_SERVICE, SERVICES
from runtime.shim.bundle import Home
from runtime.shim.container import Container
from runtime.shim.forwarder import Forwarder
from runtime.shim.host import Host
from runtime.shim.loop import READ, WRITE, Loop
from runtime.shim.publisher import Publisher
from runtime.shim.reaper import Reaper
from runtime.shim.saying import say, say_failure, say_stack
from runtime.shim.service import Service
from runtime.ttrpc.connection import Call, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runtime.proto.codec import Message
    from runtime.shim.bundle import Json
    from runtime.shim.keeper import Keeper

_CHUNK = 64 << 10
_QUIET_SECONDS = 2.0
"""After what time without anything to do the shim is only waited with."""
_UNUSED_SECONDS = 30
"""A shim without a container and without a client ends by itself after this time."""
_LINGER_SECONDS = 10
"""How long a client may keep the shim of a container that has ended without asking it anything."""
_GRACE_SECONDS = 0.1
"""How long after a container's end, or the last client's leaving, the shim of our own engine ends."""


class Reply:
    """What a request is answered by, at once or later. Call it with the answer, once."""

    __slots__ = ("_connection", "_stream")

    def __init__(self, connection: Connection, stream: int) -> None:
        self._connection = connection
        self._stream = stream

    def __call__(self, message: Message) -> None:
        """Send the answer; whoever has left does not get it."""
        self._connection.answer(self._stream, message)

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self._connection.closed and self._stream in self._connection.streams

    @property
    def place(self) -> tuple[int, int]:
        """The connection's descriptor, and the stream."""
        return self._connection.fileno(), self._stream


class Connection:
    """One client."""

    def __init__(
        self,
        shim: ShimServer,
        connection: socket.socket,
        *,
        last: int = 0,
        streams: Iterable[int] = (),
    ) -> None:
        """With `last` and `streams` it goes on for one of another worker (see `Server`)."""
        connection.settimeout(0)
        self._shim = shim
        self._socket = connection
        self._protocol = Server(last=last, streams=streams)
        self._out = b""
        self._limited: set[int] = set()
        self.closed = False
        shim.loop.watch(connection.fileno(), READ, self._ready)

    @property
    def waiting(self) -> bool:
        """Whether it has asked something that has no answer yet, or one that was not sent."""
        return bool(self._protocol.pending or self._out)

    @property
    def streams(self) -> frozenset[int]:
        """What it has asked that has no answer yet."""
        return self._protocol.streams

    @property
    def idle(self) -> bool:
        """Whether all is read and sent, and nothing has a deadline."""
        return self._protocol.between_frames and not self._out and not self._limited & self.streams

    def rest(self) -> tuple[int, int, tuple[int, ...]]:
        """Return its descriptor, and how far it is."""
        return self.fileno(), self._protocol.last, tuple(self.streams)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def answer(self, stream: int, message: Message) -> None:
        """Send the answer of a call."""
        self._protocol.respond(stream, message.encode())
        self._send()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send()
        if events & ~WRITE and not self.closed:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        for call in self._protocol.receive(data):
            self._handle(call)
        self._send()

    def _handle(self, call: Call) -> None:
        try:
            self._shim.call(call, Reply(self, call.stream))
        except RuntimeFailure as error:
            self._protocol.fail(call.stream, error)
        except Exception as error:  # noqa: BLE001  # the boundary of a request: its failure is its caller's
            say_failure()
            self._protocol.fail(
                call.stream, Internal(f"{call.method}: {type(error).__name__}: {error}")
            )
        if call.timeout_nano > 0:
            self._limited.add(call.stream)
            late = DeadlineExceeded(f"{call.method} was not done in {call.timeout_nano / 1e9:g} s")
            self._shim.loop.later(
                call.timeout_nano / 1e9, lambda: self._fail_late(call.stream, late)
            )

    def _fail_late(self, stream: int, error: RuntimeFailure) -> None:
        self._limited.discard(stream)
        self._protocol.fail(stream, error)
        self._send()

    def _send(self) -> None:
        if self.closed:
            return
        self._out += self._protocol.outgoing()
        try:
            self._out = self._out[self._socket.send(self._out) :] if self._out else b""
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        wanted = READ | WRITE if self._out else READ
        self._shim.loop.watch(self._socket.fileno(), wanted, self._ready)

    def close(self) -> None:
        """Drop the client; what it waited for is not told to anybody."""
        if self.closed:
            return
        self.closed = True
        self._shim.loop.forget(self._socket.fileno())
        self._socket.close()
        self._shim.left(self)


class ShimServer:
    """Serves the containers of one bundle or group until none is left."""

    def __init__(
        self, listener: socket.socket, keeper: Keeper, *, namespace: str, ttrpc_address: str
    ) -> None:
        self.loop = Loop(keeper.watched.fileno())
        self._keeper = keeper
        self._listener = listener
        self._connections: set[Connection] = set()
        self._home = Home.load(".")
        self._forwarder = (
            Forwarder(self.loop, ttrpc_address, namespace=namespace) if ttrpc_address else None
        )
        publisher = Publisher(
            namespace=namespace,
            pid=keeper.pid,
            journal_path=None if self._home is None else self._home.journal,
            forwarder=self._forwarder,
        )
        host = Host(
            self.loop,
            Reaper(self.loop, keeper),
            pid=keeper.pid,
            publisher=publisher,
            home=self._home,
            on_exit=self._container_ended,
        )
        self._host = host
        self._service = Service(host, on_shutdown=self.shut_down)
        self._served = 0
        self._ending = False
        self._ended: Container | None = None

    def run(self) -> None:
        """Serve until it is over."""
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.on_signal(number, self.shut_down)
        self.loop.on_signal(signal.SIGUSR1, say_stack)
        self._listener.settimeout(0)
        self.loop.watch(self._listener.fileno(), READ, self._accept)
        self.loop.later(_UNUSED_SECONDS, self._end_if_unused)
        self.loop.when_quiet(_QUIET_SECONDS, self._rest)
        self.loop.run()

    # Between two workers

    def _rest(self) -> None:
        """End this worker if another one can go on when there is something to do again."""
        containers = tuple(self._service.containers.values())
        if self._ending or self._ended is not None or not containers:
            return
        if not all(one.idle for one in containers) or not all(
            each.idle for each in self._connections
        ):
            return
        found: Json = {
            "listener": self._listener.fileno(),
            "connections": [each.rest() for each in self._connections],
            "containers": [each.rest() for each in containers],
            "served": self._served,
        }
        asked = sum(len(each.streams) for each in self._connections)
        waits = sum(
            len(one["replies"]) for each in found["containers"] for one in each["processes"]
        )
        if asked == waits and (self._forwarder is None or self._forwarder.rest()):
            self.loop.forget_signals()
            self._keeper.rest(found)

    def go_on(self, found: Json) -> None:
        """Go on with what the worker before had."""
        self._served = found["served"]
        connections: dict[int, Connection] = {}
        for descriptor, last, streams in found["connections"]:
            ours = socket.socket(fileno=descriptor)
            connections[descriptor] = Connection(self, ours, last=last, streams=streams)
        self._connections.update(connections.values())

        def reply(place: tuple[int, int]) -> Reply:
            return Reply(connections[place[0]], place[1])

        for each in found["containers"]:
            container = Container.again(self._host, each, reply=reply)
            self._service.containers[container.id] = container

    def call(self, call: Call, reply: Reply) -> None:
        """Handle a request of either version of the Task service, or of our own beside it."""
        if self._ending:
            # what a client sent that has been killed since must not make what nobody would remove
            raise Unavailable("the shim is ending")
        self._served += 1
        if call.service == OWN_SERVICE and self._home is not None:
            self._service.call_own(call.method, call.payload, reply)
            return
        if call.service not in SERVICES:
            raise Unimplemented(f"service {call.service} is not implemented")
        self._service.call(call.method, call.payload, reply)

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if peer(connection) != (os.geteuid(), os.getegid()):
            connection.close()
            return
        self._connections.add(Connection(self, connection))

    def left(self, connection: Connection) -> None:
        """Take note that a client is gone."""
        self._connections.discard(connection)
        if self._home is not None:
            self.loop.later(_GRACE_SECONDS, self._end_if_over)

    # When it ends

    def _end_if_unused(self) -> None:
        if not self._service.containers and not self._connections:
            self.shut_down()
        else:
            self.loop.later(_UNUSED_SECONDS, self._end_if_unused)

    def _container_ended(self, container: Container) -> None:
        """A container of our own engine needs no shim when it has stopped, one of containerd does."""
        if self._home is not None:
            self._ended = container
            container.init.drain(self._wait_for_clients)

    def _wait_for_clients(self) -> None:
        served = self._served
        self.loop.later(_GRACE_SECONDS, self._end_if_over)
        self.loop.later(_LINGER_SECONDS, lambda: self._end_if_silent(served))

    def _end_if_silent(self, served: int) -> None:
        if any(each.waiting for each in self._connections) or served != self._served:
            self._wait_for_clients()
        else:
            self._end()

    def _end_if_over(self) -> None:
        if not self._connections:
            self._end()

    def _end(self) -> None:
        """Take the ended container down, and remove it if it was made to be removed."""
        container = self._ended
        if container is None:
            if not self._service.containers and self._served:
                self.shut_down()
            return
        if container.id in self._service.containers and container.init.status == "stopped":
            container.delete("", lambda _process: self._deleted(container))

    def _deleted(self, container: Container) -> None:
        self._service.containers.pop(container.id, None)
        if self._home is not None and self._home.cleanup:
            self._remove(self._home.cleanup)
        self.shut_down()

    @staticmethod
    def _remove(command: Sequence[str]) -> None:
        """Let another process remove the container's records and layers; this one is ending."""
        os.chdir("/")  # the bundle is about to go
        try:
            os.posix_spawn(command[0], tuple(command), os.environ, setsid=True)
        except OSError as error:
            say(f"cannot run {command[0]}: {error}")

    def shut_down(self) -> None:
        """Take no more clients and requests, tell what is left to tell, and end."""
        if self._ending:
            return
        self._ending = True
        self.loop.forget(self._listener.fileno())
        path = self._listener.getsockname()
        if isinstance(path, str) and path.startswith("/"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        if self._forwarder is None:
            self.loop.stop()
            return
        self._forwarder.when_idle(self.loop.stop)
        self.loop.later(5, self.loop.stop)


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the uid and gid of the process at the other end (SO_PEERCRED of unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, gid = struct.unpack("3i", raw)
    return uid, gid
