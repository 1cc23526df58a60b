"""Hears of containers' processes that have ended, which the keeper collects; collects a worker's own children."""

from __future__ import annotations

import os
import signal
import time

from runtime.shim.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.keeper import Keeper
    from runtime.shim.loop import Loop


class Reaper:
    """Calls whoever watches a pid with its wait status and the time, in ns since 1970.

    A process that dies while it is being launched is told of after its launch: the keeper, whose
    child it is, is heard between two turns of the loop.
    """

    def __init__(self, loop: Loop, keeper: Keeper) -> None:
        self._loop = loop
        self._keeper = keeper
        self._watched: dict[int, Callable[[int, int], None]] = {}
        loop.on_signal(signal.SIGCHLD, self._collect)
        loop.watch(keeper.news, READ, self._hear)

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
            self._ended(pid, status, time.time_ns())

    def _hear(self, _events: int) -> None:
        for pid, status, at in self._keeper.read():
            if pid:
                self._ended(pid, status, at)
            else:
                self._loop.signalled(status)

    def _ended(self, pid: int, status: int, at: int) -> None:
        callback = self._watched.pop(pid, None)
        if callback is not None:
            callback(status, at)
