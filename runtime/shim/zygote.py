"""A warm shim to be: everything is imported, and each shim is a fork of it.

A long-lived client (the UI, `serve`) starts one before it has threads. A start then costs one fork
of a small process in place of an interpreter's start and 150 imports, and the shims share their
memory (fork(2), "copy-on-write"); `gc.freeze` keeps the collector from touching what is shared.
"""

from __future__ import annotations

import _blake2
import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys

from runtime.cgroups import oom
from runtime.errors import RuntimeFailure
from runtime.init import furniture, launcher, spare
from runtime.oci import support
from runtime.shim import entry, keeper, server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_LARGEST = 16 << 10
_QUIET_SECONDS = 0.05
"""How long nobody must have asked for a shim before one is forked in advance."""
_END_SECONDS = 5
LOADED = (_blake2, furniture, keeper, launcher, oom, server, support)
"""What no request needs here, for the forks to have."""
_memmove = ctypes.PyDLL(None).memmove
_memmove.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_memmove.restype = ctypes.c_void_p


class _Waiting:
    """A shim that is there before its container: the zygote's side, a socket to each of its processes."""

    __slots__ = ("_keeper", "_pidfd", "_worker")

    def __init__(self) -> None:
        """Fork it; raises OSError where that cannot be."""
        self._keeper, keeper_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._worker, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            entry.leave(lambda: _wait(keeper_end, worker_end))
        self._pidfd = os.pidfd_open(pid)
        keeper_end.close()
        worker_end.close()

    def hand_over(self, data: bytes, descriptors: list[int]) -> bool:
        """Tell it what it is to be; returns whether it was there to be told."""
        try:
            self._keeper.send(data)
            socket.send_fds(self._worker, [data], descriptors)
        except OSError:
            return False
        finally:
            self._close()
        return True

    def end(self) -> None:
        """Let it go, and wait until it has."""
        self._keeper.close()
        self._worker.close()
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        ended.poll(_END_SECONDS * 1000)
        os.close(self._pidfd)

    def _close(self) -> None:
        self._keeper.close()
        self._worker.close()
        os.close(self._pidfd)


def main() -> None:
    """Serve the socket that the last argument but one names, until the client has closed its end.

    A request is a bundle's directory and what follows the name on a command line, with a NUL between
    each two; with it come two descriptors: the container's lock, and a pipe that takes what `start`
    prints. When nobody asks for one a shim is forked in advance, and in it a container's init.
    """
    requests = socket.socket(fileno=int(sys.argv[-2]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for its client
    gc.collect()
    gc.freeze()
    asked = select.poll()
    asked.register(requests, select.POLLIN)
    waiting: _Waiting | None = None
    while True:
        if waiting is None and not asked.poll(_QUIET_SECONDS * 1000):
            waiting = _prepared()
        data, descriptors, _, _ = socket.recv_fds(requests, _LARGEST, 2)
        if not data:
            break
        if len(descriptors) == 2 and not (waiting and waiting.hand_over(data, descriptors)):
            _fork(data, descriptors)
        waiting = None
        for descriptor in descriptors:
            os.close(descriptor)
    if waiting is not None:
        waiting.end()


def _prepared() -> _Waiting | None:
    try:
        return _Waiting()
    except OSError:
        return None  # a start forks then, or says why it cannot


def _fork(data: bytes, descriptors: list[int]) -> None:
    """Fork a shim now."""
    lock, tell = descriptors
    if os.fork():
        return

    def run() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with _telling([tell]):
            entry.serve(entry.Order(_become(data), lock=lock, tell=tell))

    entry.leave(run)


def _wait(keeper_end: socket.socket, worker_end: socket.socket) -> None:
    """Be a shim whose container is not known yet: its keeper, and in a fork its worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    tell: list[int] = []

    def take() -> entry.Order:
        spare.keep(sibling=True)
        data, descriptors, _, _ = socket.recv_fds(worker_end, _LARGEST, 2, socket.MSG_CMSG_CLOEXEC)
        worker_end.close()
        if len(descriptors) != 2:
            os._exit(0)  # the zygote has ended
        tell.append(descriptors[1])
        return entry.Order(_become(data), lock=descriptors[0], tell=descriptors[1])

    def hear() -> list[str]:
        data = keeper_end.recv(_LARGEST)
        keeper_end.close()
        if not data:
            os._exit(0)
        return _become(data)

    with _telling(tell):
        ends = {keeper_end.fileno(), worker_end.fileno()}
        entry.stay(take, hear, hold=ends, when=keeper_end.fileno())


def _become(data: bytes) -> list[str]:
    """Go to the bundle and show the command line of a shim; return its flags."""
    directory, _, line = data.partition(b"\0")
    os.chdir(directory)
    rename(b"containerd-shim-cinspect-v1\0" + line)
    return os.fsdecode(line).split("\0")


@contextlib.contextmanager
def _telling(answers: list[int]) -> Generator[None]:
    """Say what goes wrong where the address was to be, once that is known."""
    try:
        yield
    except (RuntimeFailure, OSError) as error:
        for each in answers:
            with contextlib.suppress(OSError):  # it was ready, and the descriptor is closed
                os.write(each, str(error).encode())
        raise


def rename(line: bytes) -> None:
    """Show another command line in /proc/self/cmdline, as far as the old one has room.

    The kernel reads it from where the process's arguments were put (proc_pid_stat(5), fields
    `arg_start` and `arg_end`).
    """
    start, end = _PLACE
    _memmove(start, line[: end - start - 1].ljust(end - start, b"\0"), end - start)


def _arguments() -> tuple[int, int]:
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[45]), int(fields[46])


_PLACE = _arguments()
