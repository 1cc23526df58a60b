"""Collects the shim's dead children, its own and those that orphans of a container become."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.loop import Loop


class Reaper:
    """Calls whoever watches a pid with its wait status and the time, in ns since 1970.

    Nothing is reaped but here, between two turns of the loop: so a process that dies while it is
    being launched is told of after its launch, and no pid is used again before it was told.
    """

    def __init__(self, loop: Loop) -> None:
        self._watched: dict[int, Callable[[int, int], None]] = {}
        loop.on_signal(signal.SIGCHLD, self._collect)

    def watch(self, pid: int, callback: Callable[[int, int], None]) -> None:
        """Call once, when the child has ended."""
        self._watched[pid] = callback

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            callback = self._watched.pop(pid, None)
            if callback is not None:
                callback(status, time.time_ns())
