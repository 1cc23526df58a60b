"""The shim's event loop: epoll, timers and signals, in one thread and without asyncio.

asyncio would double the shim's memory and its start; a shim watches a dozen descriptors.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
"""What to watch a descriptor for; errors and hang-ups are always told."""


class Timer:
    """A call at a moment; `cancel` takes it back."""

    __slots__ = ("_callback", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self._callback: Callable[[], object] | None = callback

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        """Do not call."""
        self._callback = None

    def fire(self) -> None:
        """Call, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Loop:
    """Waits for descriptors, moments and signals, and calls whoever watches them."""

    def __init__(self, descriptor: int | None = None) -> None:
        """With a descriptor it waits by that one, which another epoll instance was until now."""
        self._epoll = select.epoll()
        if descriptor is not None:
            os.dup2(self._epoll.fileno(), descriptor, inheritable=False)
            self._epoll.close()
            self._epoll = select.epoll.fromfd(descriptor)
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._signals: dict[int, Callable[[], None]] = {}
        self._wakeup = self._sender = -1
        self._running = True
        self._quiet_seconds = 0.0
        self._quiet: Callable[[], None] | None = None

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call with the epoll events whenever there are some, or watch for others than before."""
        if descriptor in self._watched:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._watched[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; do it before the descriptor is closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call once, `seconds` from now."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call between two waits, some time after a signal came; several may become one call."""
        if self._wakeup < 0:
            self._wakeup, self._sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
            self.watch(self._wakeup, READ, self._signalled)
        self._signals[number] = callback
        signal.signal(number, _noted)

    def _signalled(self, _events: int) -> None:
        for number in dict.fromkeys(os.read(self._wakeup, 4096)):
            self.signalled(number)

    def signalled(self, number: int) -> None:
        """Call whoever waits for a signal, which somebody else has had."""
        callback = self._signals.get(number)
        if callback is not None:
            callback()

    def forget_signals(self) -> None:
        """Close what was opened for them."""
        if self._wakeup >= 0:
            signal.set_wakeup_fd(-1)
            self.forget(self._wakeup)
            os.close(self._wakeup)
            os.close(self._sender)
            self._wakeup = self._sender = -1

    def when_quiet(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call whenever no descriptor was ready for some seconds."""
        self._quiet_seconds, self._quiet = seconds, callback

    def stop(self) -> None:
        """Let `run` return after the calls of this turn."""
        self._running = False

    def run(self) -> None:
        """Wait and call until `stop`."""
        active = time.monotonic()
        while self._running:
            ready = self._epoll.poll(self._timeout(active))
            for descriptor, events in ready:
                # an earlier call of this turn may have ended the watch
                callback = self._watched.get(descriptor)
                if callback is not None:
                    callback(events)
            now = time.monotonic()
            while self._timers and self._timers[0].when <= now:
                heapq.heappop(self._timers).fire()
            if ready:
                active = now
            elif self._quiet is not None and now - active >= self._quiet_seconds:
                active = now
                self._quiet()

    def _timeout(self, active: float) -> float:
        """Return how long to wait: to the next timer, or until it was quiet for long enough."""
        moments = [self._timers[0].when] if self._timers else []
        if self._quiet is not None:
            moments.append(active + self._quiet_seconds)
        return max(0.0, min(moments) - time.monotonic()) if moments else -1.0


def _noted(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup descriptor tells the loop, outside the handler."""
