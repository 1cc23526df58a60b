"""`containerd-shim-cinspect-v1`: the actions `start` and `delete`, `-info` and `-v`.

https://github.com/containerd/containerd/blob/main/core/runtime/v2/README.md. It is called in the bundle's
directory, with flags of one dash before the action.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import socket
import sys
import time

from runtime.errors import AlreadyExists, Internal, InvalidArgument, NotFound, RuntimeFailure
from runtime.linux import syscalls
from runtime.shim import bundle
from runtime.shim.saying import log_to, say_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

NAME = "io.containerd.cinspect.v1"
SOCKETS = "/run/containerd/s"
_WITH_VALUE = (
    "-namespace",
    "-id",
    "-address",
    "-publish-binary",
    "-bundle",
    "-socket",
    "-debug-socket",
    "-lock-fd",
)
_GROUPS = ("io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id")
_COMM = b"containerd-shim"
_KILLED = 128 + signal.SIGKILL


class Arguments:
    """The command line."""

    __slots__ = ("action", "flags", "values")

    def __init__(self, argv: Sequence[str]) -> None:
        self.values: dict[str, str] = {}
        self.flags: set[str] = set()
        self.action = ""
        rest = list(argv)
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                self.action = word
                continue
            name, equals, value = ("-" + word.lstrip("-")).partition("=")
            if name in _WITH_VALUE:
                if not equals and not rest:
                    raise InvalidArgument(f"flag {word} needs a value")
                self.values[name] = value if equals else rest.pop(0)
            else:
                self.flags.add(name)

    def get(self, name: str) -> str:
        """Return a flag's value, "" if it was not given."""
        return self.values.get(name, "")

    def need(self, name: str) -> str:
        """Return a flag's value, or raise `InvalidArgument`."""
        if not self.values.get(name):
            raise InvalidArgument(f"flag {name} is needed")
        return self.values[name]


def main() -> None:
    """Run one action; exits with status 1 and the reason when it fails."""
    try:
        arguments = Arguments(sys.argv[1:])
        if arguments.flags & {"-v", "-version"}:
            _print(f"{sys.argv[0]}: {NAME} {bundle.SHIM_VERSION}\n".encode())
        elif "-info" in arguments.flags:
            _print(_info())
        elif arguments.action == "start":
            start(arguments)
        elif arguments.action == "delete":
            _print(delete(arguments.need("-id")))
        else:
            raise InvalidArgument(f"unknown action {arguments.action!r}: start or delete")
    except (RuntimeFailure, OSError) as error:
        sys.exit(f"containerd-shim-cinspect-v1: {error}")


def _print(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _info() -> bytes:
    from runtime.proto.task import RuntimeInfo, RuntimeVersion  # noqa: PLC0415  # only this action needs it

    return RuntimeInfo(name=NAME, version=RuntimeVersion(version=bundle.SHIM_VERSION)).encode()


# start


def start(arguments: Arguments) -> None:
    """Begin to listen, leave a server behind, print its address; a group shares one server."""
    container_id, namespace = arguments.need("-id"), arguments.need("-namespace")
    group = _group(container_id)
    path = arguments.get("-socket") or socket_path(arguments.get("-address"), namespace, group)
    listener = _listen(path)
    address = f"unix://{path}"
    if listener is not None:
        _daemonise(listener, arguments)
    _write_address(address)
    _print(address.encode())


class Order:
    """What a server is to be: its command line, and the descriptors that it is handed."""

    __slots__ = ("bound", "line", "lock", "tell")

    def __init__(
        self, line: Sequence[str], *, lock: int, tell: int, bound: socket.socket | None = None
    ) -> None:
        self.line = line
        self.lock = lock
        """Closed when the server can be found; -1 if there is none."""
        self.tell = tell
        """Takes the socket's address when the server can be found."""
        self.bound = bound
        """The socket; without one the server binds its own."""

    @property
    def descriptors(self) -> set[int]:
        """What is handed over."""
        bound = -1 if self.bound is None else self.bound.fileno()
        return {self.lock, self.tell, bound} - {-1}


def serve(order: Order) -> None:
    """Be the server itself, as a fork that is for nothing else."""
    stay(lambda: order, lambda: order.line, hold=order.descriptors)


def _group(container_id: str) -> str:
    """Return what the containers that share a shim have in common: a pod's annotation."""
    try:
        annotations = bundle.section(bundle.read_json("config.json"), "annotations")
    except NotFound:
        return container_id
    for key in _GROUPS:
        if annotations.get(key):
            return str(annotations[key])
    return container_id


def socket_path(address: str, namespace: str, group: str) -> str:
    """Return where containerd's shims listen, a name that fits sockaddr_un."""
    joined = "/".join((address, namespace, group))
    return os.path.join(SOCKETS, hashlib.sha256(joined.encode()).hexdigest())


def _listen(path: str) -> socket.socket | None:
    """Listen at a path; None if somebody else does and answers."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            listener.close()
            raise
        if _answers(path):
            listener.close()
            return None
        os.unlink(path)
        listener.bind(path)
    finally:
        os.umask(old)
    listener.listen(128)
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _write_address(address: str) -> None:
    """Write the file by which containerd 1.x finds the shim after its own restart."""
    with open("address.new", "wb", buffering=0) as file:
        file.write(address.encode())
    os.rename("address.new", "address")


def _daemonise(listener: socket.socket, arguments: Arguments) -> None:
    """Fork the server; the parent returns when the server can be found by its `shim.json`."""
    ready, tell = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(tell)
        if not os.read(ready, 1):
            raise Internal("the shim's server ended before it was ready; the bundle's log says why")
        os.close(ready)
        listener.close()
        return
    lock = int(arguments.get("-lock-fd") or -1)
    if lock < 0:
        _raise_oom_score()
    leave(lambda: serve(Order(sys.argv[1:], lock=lock, tell=tell, bound=listener)))


def leave(action: Callable[[], None]) -> NoReturn:
    """Do what a forked process is for, and end it; what goes wrong is said in its log."""
    status = 1
    try:
        action()
        status = 0
    except Exception:  # noqa: BLE001  # the process ends here: the reason must be in its log
        say_failure()
    finally:
        os._exit(status)


def stay(
    take: Callable[[], Order], hear: Callable[[], Sequence[str]], *, hold: set[int], when: int = -1
) -> None:
    """Be the process that stays; a worker does the rest.

    Both are told what they are to be, the first worker by `take`, which may wait, this process by
    `hear`, when the descriptor `when` can be read. Of the descriptors `hold` stay open meanwhile.
    """
    from runtime.shim import keeper, server  # noqa: PLC0415  # a `start` that finds its group needs none

    os.setsid()
    keep = keeper.Keeper()
    heard: list[Sequence[str]] = []

    def work() -> None:
        found = keep.remembered()
        if found is None:
            _close_inherited({*keep.descriptors, *hold})
            order = take()
            syscalls.name_process(_COMM)
            log_to("log")
            arguments = Arguments(order.line)
            listener = order.bound or _bind(arguments)
        else:
            order = None
            arguments = Arguments(heard[0])
            listener = socket.socket(fileno=found["listener"])
        shim = server.ShimServer(
            listener,
            keep,
            namespace=arguments.get("-namespace"),
            ttrpc_address=os.environ.get("TTRPC_ADDRESS", ""),
        )
        if order is not None:
            address = f"unix://{listener.getsockname()}"
            _announce(address, pid=keep.pid, order=order)
        elif found is not None:
            shim.go_on(found)
        shim.run()

    def begun() -> None:
        # Nothing is opened: the worker, which has the same table of descriptors, may be clearing it.
        heard.append(hear())
        syscalls.name_process(_COMM)

    keep.run(work, begun, when=when)


def _bind(arguments: Arguments) -> socket.socket:
    path = arguments.need("-socket")
    listener = _listen(path)
    if listener is None:
        raise AlreadyExists(f"there is a shim already at {path}")
    _write_address(f"unix://{path}")
    return listener


def _announce(address: str, *, pid: int, order: Order) -> None:
    bundle.Shim(pid=pid, ticks=bundle.start_ticks(pid), address=address).save(".")
    if order.lock >= 0:
        os.close(order.lock)  # from now on whoever gets the lock finds this process
    os.write(order.tell, address.encode())
    os.close(order.tell)


def _close_inherited(keep: set[int]) -> None:
    """Leave no descriptor of the caller's open: its pipes would never end, its files never close."""
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    lowest = 3
    for descriptor in sorted(keep):
        if lowest < descriptor:
            os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    syscalls.close_range(lowest, 0xFFFFFFFF)


def _raise_oom_score() -> None:
    """Be killed for memory a little before containerd is."""
    try:
        with open(f"/proc/{os.getppid()}/oom_score_adj", encoding="ascii") as file:
            score = min(int(file.read()) + 1, 1000)
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError:
        return  # not allowed here: a lower chance of surviving is no reason not to run


# delete


def delete(container_id: str) -> bytes:
    """Remove what a container left, whether or not a server runs; return a DeleteResponse."""
    from runtime.proto.task import DeleteResponse  # noqa: PLC0415  # only this action needs it
    from runtime.proto.wellknown import Timestamp  # noqa: PLC0415  # only this action needs it
    from runtime.shim.remains import clean  # noqa: PLC0415  # only this action needs it

    pid = clean(os.getcwd(), container_id)
    _remove_socket()
    now = Timestamp.of(time.time_ns())
    return DeleteResponse(pid=pid, exit_status=_KILLED, exited_at=now).encode()


def _remove_socket() -> None:
    """Remove the socket of a shim that was killed; one that answers serves others of its group."""
    try:
        with open("address", encoding="utf-8") as file:
            path = file.read().removeprefix("unix://")
    except OSError:
        return
    if path.startswith("/") and not _answers(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
