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
import json
import os
import signal
import socket
import sys

from runtime.cgroups import oom
from runtime.errors import RuntimeFailure
from runtime.init import launcher
from runtime.oci import support
from runtime.shim import entry, server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST = 16 << 10
LOADED = (_blake2, launcher, oom, server, support)
"""What no request needs here, for the forks to have."""


def main() -> None:
    """Serve the socket that the last argument but one names: a request is JSON with two descriptors.

    `{"cwd": BUNDLE, "arguments": […]}` comes with the container's lock and a pipe that takes what
    `start` prints. Ends when the client has closed its end.
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
                lambda: _run(requests, data, lock=descriptors[0], answer=descriptors[1])  # noqa: B023  # called at once
            )
        for descriptor in descriptors:
            os.close(descriptor)


def _run(requests: socket.socket, data: bytes, *, lock: int, answer: int) -> None:
    """Be the server that `containerd-shim-cinspect-v1 … start` would leave behind."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    requests.close()
    request = json.loads(data)
    arguments = [*request["arguments"], "-lock-fd", str(lock)]
    try:
        os.chdir(request["cwd"])
        rename(["containerd-shim-cinspect-v1", *arguments])
        entry.serve(entry.Arguments(arguments), answer=answer)
    except (RuntimeFailure, OSError) as error:
        with contextlib.suppress(OSError):  # it was ready, and the descriptor is closed
            os.write(answer, str(error).encode())
        raise


def rename(line: Sequence[str]) -> None:
    """Show another command line in /proc/self/cmdline, as far as the old one has room.

    The kernel reads it from where the process's arguments were put (proc_pid_stat(5), fields
    `arg_start` and `arg_end`).
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = b"\0".join(word.encode() for word in line)[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
