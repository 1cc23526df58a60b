"""Copies between a process's pipes (or terminal) and its client, without ever blocking the shim."""

from __future__ import annotations

import contextlib
import os

from runtime.shim.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.log import ContainerLog
    from runtime.shim.loop import Loop
    from runtime.shim.sinks import Rest, Sink

_CHUNK = 64 << 10
_PIPE_LIMIT = 1 << 20
"""The most that a pipe holds unless root made it larger (/proc/sys/fs/pipe-max-size)."""
_ASK_AGAIN_SECONDS = 0.02


class Output:
    """From a process's stdout or stderr (or terminal) to the log and to a sink.

    While the sink is full nothing is read, so that the process waits, as it would on a pipe.
    """

    def __init__(
        self,
        loop: Loop,
        source: int,
        *,
        sink: Sink,
        log: ContainerLog | None,
        stream: str,
        on_close: Callable[[], None],
    ) -> None:
        os.set_blocking(source, False)
        self._loop = loop
        self._source = source
        self._sink = sink
        self._log = log
        self.stream = stream
        self._on_close = on_close
        self._pending = b""
        self._ending = False
        self.closed = False
        loop.watch(source, READ, self._readable)

    @property
    def idle(self) -> bool:
        """Whether it waits for the process, and for nothing else."""
        return not self._pending and not self._ending

    def rest(self) -> tuple[int, str, Rest]:
        """Return its source, stream and sink."""
        return self._source, self.stream, self._sink.rest()

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: nobody has the terminal open any more
        if not data:
            self._close()
            return
        if self._log is not None:
            self._log.write(self.stream, data)
        self._pending = data
        self._push()

    def _push(self) -> None:
        self._pending = self._pending[self._sink.write(self._pending) :]
        if not self._pending:
            if not self._ending:
                self._loop.watch(self._source, READ, self._readable)
            return
        self._loop.forget(self._source)
        if self._sink.descriptor >= 0:
            self._loop.watch(self._sink.descriptor, WRITE, self._writable)
        else:
            self._loop.later(_ASK_AGAIN_SECONDS, self._retry)

    def _writable(self, _events: int) -> None:
        self._loop.forget(self._sink.descriptor)
        self._retry()

    def _retry(self) -> None:
        if self.closed:
            return
        self._push()
        if self._ending and not self._pending:
            self._close()

    def redirect(self, sink: Sink) -> None:
        """Send what comes, and what still waits, to another sink; the old one sees an end."""
        if self._sink.descriptor >= 0:
            self._loop.forget(self._sink.descriptor)
        self._sink.close()
        self._sink = sink
        self._push()

    def end(self) -> None:
        """Take and log what was written until now, and close when the sink has taken it too.

        Somebody else may keep the pipe open and go on writing: what they write is nobody's, so that
        no more is taken than a pipe can hold.
        """
        self._ending = True
        taken = 0
        # EAGAIN: that was all; EIO: nobody has the terminal open any more
        with contextlib.suppress(OSError):
            while taken < _PIPE_LIMIT and (data := os.read(self._source, _CHUNK)):
                taken += len(data)
                if self._log is not None:
                    self._log.write(self.stream, data)
                self._pending += data
        if self._pending:
            self._push()
        if not self._pending:
            self._close()

    def abort(self) -> None:
        """Close now, whatever has not been copied."""
        if not self.closed:
            self._close()

    def _close(self) -> None:
        self.closed = True
        self._loop.forget(self._source)
        if self._sink.descriptor >= 0:
            self._loop.forget(self._sink.descriptor)
        self._sink.close()
        os.close(self._source)
        self._on_close()


class Input:
    """From a client's FIFO to a process's stdin (or terminal).

    With `hold` the shim keeps a writing end, so that only `finish` brings an end of file, as with
    containerd's shims. Without it the process reads an end of file when its client has left, as
    with `docker run -i`; a terminal (`reopen`) waits for the next client instead.
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        target: int,
        *,
        hold: bool,
        reopen: bool,
        opened: tuple[int, int] | None = None,
    ) -> None:
        """With `opened` it goes on for one that had its FIFO open, and perhaps held."""
        os.set_blocking(target, False)
        self._loop = loop
        self._path = path
        self._target = target
        self._reopen = reopen
        self._pending = b""
        self._ending = False
        self.closed = False
        if opened is not None:
            self._source, self._held = opened
            loop.watch(self._source, READ, self._readable)
            return
        self._source = self._open()
        self._held = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC) if hold else -1

    @property
    def idle(self) -> bool:
        """Whether it waits for the client, and for nothing else."""
        return not self._pending and not self._ending

    def rest(self) -> tuple[str, int, bool, tuple[int, int]]:
        """Return what another one that goes on for it is made of, but for the loop."""
        return self._path, self._target, self._reopen, (self._source, self._held)

    def _open(self) -> int:
        source = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.watch(source, READ, self._readable)
        return source

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            if self._ending:
                self.close()
            return
        if data:
            self._pending = data
            self._push()
        elif self._reopen and not self._ending:
            self._wait_for_another()
        else:
            self.close()

    def _wait_for_another(self) -> None:
        """Open the FIFO anew: one whose writers have left reports a hang-up for ever."""
        self._loop.forget(self._source)
        os.close(self._source)
        try:
            self._source = self._open()
        except OSError:
            self._source = -1
            self.close()

    def _push(self) -> None:
        try:
            written = os.write(self._target, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:
            self.close()  # the process has closed its stdin, or is gone
            return
        self._pending = self._pending[written:]
        if self._pending:
            self._loop.forget(self._source)
            self._loop.watch(self._target, WRITE, self._writable)
        else:
            self._loop.watch(self._source, READ, self._readable)

    def _writable(self, _events: int) -> None:
        self._loop.forget(self._target)
        self._push()
        if self._ending and not self.closed and not self._pending:
            self.finish()

    def finish(self) -> None:
        """Copy what is in the FIFO, then let the process read an end of file."""
        self._ending = True
        while not self.closed and not self._pending:
            self._readable(READ)

    def target(self) -> int:
        """Return a copy of the process's end, for another input."""
        return os.dup(self._target)

    def close(self) -> None:
        """Close now."""
        if self.closed:
            return
        self.closed = True
        for descriptor in (self._source, self._target):
            if descriptor >= 0:
                self._loop.forget(descriptor)
                os.close(descriptor)
        if self._held >= 0:
            os.close(self._held)
