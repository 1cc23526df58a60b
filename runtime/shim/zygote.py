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
import signal
import socket
import sys

from runtime.cgroups import oom
from runtime.errors import RuntimeFailure
from runtime.init import launcher
from runtime.oci import support
from runtime.shim import entry, keeper, server

_LARGEST = 16 << 10
LOADED = (_blake2, keeper, launcher, oom, server, support)
"""What no request needs here, for the forks to have."""
_memmove = ctypes.PyDLL(None).memmove
_memmove.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_memmove.restype = ctypes.c_void_p


def main() -> None:
    """Serve the socket that the last argument but one names, until the client has closed its end.

    A request is a bundle's directory and what follows the name on a command line, with a NUL between
    each two; with it come two descriptors: the container's lock, and a pipe that takes what `start`
    prints.
    """
    requests = socket.socket(fileno=int(sys.argv[-2]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for its client
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _LARGEST, 2)
        if not data:
            return
        if len(descriptors) == 2 and not os.fork():
            entry.leave(
                lambda: _run(data, lock=descriptors[0], answer=descriptors[1])  # noqa: B023  # called at once
            )
        for descriptor in descriptors:
            os.close(descriptor)


def _run(data: bytes, *, lock: int, answer: int) -> None:
    """Be the server that `containerd-shim-cinspect-v1 … start` would leave behind."""
    directory, _, line = data.partition(b"\0")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        os.chdir(directory)
        rename(b"containerd-shim-cinspect-v1\0" + line)
        entry.serve(os.fsdecode(line).split("\0"), lock=lock, answer=answer)
    except (RuntimeFailure, OSError) as error:
        with contextlib.suppress(OSError):  # it was ready, and the descriptor is closed
            os.write(answer, str(error).encode())
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
