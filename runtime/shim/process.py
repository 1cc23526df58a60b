"""One process of a container, its init or an exec: its state, its streams and who waits for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct

from runtime.errors import FailedPrecondition, InvalidArgument, NotFound
from runtime.init.launch import Launched
from runtime.proto.task import WaitResponse
from runtime.proto.wellknown import Timestamp
from runtime.shim import sinks
from runtime.shim.sinks import Nothing, check_fifo, open_sink
from runtime.shim.stdio import Input, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.shim.bundle import Json
    from runtime.shim.log import ContainerLog
    from runtime.shim.loop import Loop
    from runtime.shim.server import Reply

TRANSITIONS = {
    ("created", "start"): "running",
    ("running", "pause"): "paused",
    ("paused", "resume"): "running",
    ("created", "exit"): "stopped",
    ("running", "exit"): "stopped",
    ("paused", "exit"): "stopped",
    ("created", "delete"): "deleted",
    ("stopped", "delete"): "deleted",
}
"""(status, what happens) -> status; what is not here cannot happen."""

_TIOCSWINSZ = 0x5414
_ASKED = ("exec_id", "terminal", "stdin", "stdout", "stderr")
_BECOME = ("status", "pid", "exit_status", "exited_at", "reported")


class Process:
    """A process that was asked for; it has a pid once it was launched."""

    def __init__(
        self,
        *,
        exec_id: str,
        terminal: bool,
        stdin: str,
        stdout: str,
        stderr: str,
        spec: Json,
    ) -> None:
        self.exec_id = exec_id
        """Empty for the init."""
        self.terminal = terminal
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.spec = spec
        """The OCI process."""
        self.status = "created"
        self.pid = 0
        self.exit_status = 0
        self.exited_at = 0
        """Nanoseconds since 1970; 0 while it runs."""
        self.reported = False
        """Whether its exit was told: an init's waits for those of its execs."""
        self._launched: Launched | None = None
        self._outputs: list[Output] = []
        self._input: Input | None = None
        self._waiting: list[Callable[[], None]] = []
        self._replies: list[Reply] = []
        self._draining: list[Callable[[], None]] = []

    def advance(self, event: str) -> None:
        """Change the status, or raise `FailedPrecondition` if that cannot happen now."""
        status = TRANSITIONS.get((self.status, event))
        if status is None:
            what = f"exec {self.exec_id!r}" if self.exec_id else "container"
            raise FailedPrecondition(f"cannot {event} a {what} that is {self.status}")
        self.status = status

    @property
    def running(self) -> bool:
        """Whether it has a live process."""
        return self._launched is not None and not self.exited_at

    @property
    def pidfd(self) -> int:
        """The descriptor that names its process; -1 before there is one."""
        return -1 if self._launched is None else self._launched.pidfd

    def launch(
        self,
        loop: Loop,
        start: Callable[[tuple[int, int, int] | None], Launched],
        *,
        log: ContainerLog | None,
        hold: bool,
    ) -> None:
        """Make the streams, call `start` with the child's ends of them, and begin to copy.

        `hold` is containerd's way with FIFOs (see `sinks.Fifo`). If it fails nothing stays open.
        """
        streams = Streams(self, log=log, hold=hold)
        try:
            launched = start(None if self.terminal else streams.child_ends())
        except BaseException:
            streams.close()
            raise
        self._launched = launched
        self.pid = launched.pid
        streams.close_child_ends()
        try:
            self._outputs, self._input = streams.connect(loop, launched.console, self._drained)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # which would hide why
                signal.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
            launched.close()
            raise

    def release(self) -> None:
        """Let an init that waits run its command."""
        if self._launched is not None:
            self._launched.start()

    def kill(self, number: int) -> None:
        """Send a signal by the pidfd, which never names another process.

        Raises `NotFound` if it has ended, as engines expect of a shim.
        """
        if not 0 < number <= 64:
            raise InvalidArgument(f"{number} is no signal")
        if self.exited_at:
            raise NotFound("process already finished")
        if self._launched is None:
            raise FailedPrecondition(f"exec {self.exec_id!r} was not started")
        try:
            signal.pidfd_send_signal(self._launched.pidfd, number)
        except ProcessLookupError:
            raise NotFound("process already finished") from None

    def resize(self, width: int, height: int) -> None:
        """Tell the terminal its size; nothing to do without one."""
        console = None if self._launched is None else self._launched.console
        if console is not None and not self.exited_at:
            fcntl.ioctl(console, _TIOCSWINSZ, struct.pack("4H", height, width, 0, 0))

    def attach(self, loop: Loop, *, stdin: str, stdout: str, stderr: str) -> None:
        """Give the streams to another client; the one before sees their end.

        What is not named stays with whom it was. Raises `FailedPrecondition` if it has ended, or
        if stdin is asked for and is closed.
        """
        launched = self._launched
        if launched is None or self.exited_at:
            raise FailedPrecondition("the process does not run")
        target = self._stdin_again(stdin, launched) if stdin else -1
        wanted = {"stdout": stdout, "stderr": stderr}
        try:
            sinks = {name: open_sink(uri, hold=False) for name, uri in wanted.items() if uri}
        except BaseException:
            if target >= 0:
                os.close(target)
            raise
        for output in self._outputs:
            if output.stream in sinks and not output.closed:
                output.redirect(sinks.pop(output.stream))
        for sink in sinks.values():
            sink.close()
        if stdin:
            if self._input is not None:
                self._input.close()  # the process's end stays open by its copy
            self._input = Input(
                loop, stdin, target, hold=False, reopen=launched.console is not None
            )

    def _stdin_again(self, path: str, launched: Launched) -> int:
        """Return a new descriptor that writes to its stdin."""
        check_fifo(path)
        if self._input is not None and not self._input.closed:
            return self._input.target()
        if launched.console is None:
            raise FailedPrecondition("its standard input is closed")
        return os.dup(launched.console)

    def close_stdin(self) -> None:
        """Let it read an end of file after what its client has written."""
        if self._input is not None:
            self._input.finish()

    def ended(self, wait_status: int, at: int) -> None:
        """Take note of its exit (`wait_status` as of waitpid(2), `at` in ns since 1970)."""
        self.advance("exit")
        self.exit_status = os.waitstatus_to_exitcode(wait_status)
        if self.exit_status < 0:
            self.exit_status = 128 - self.exit_status
        self.exited_at = at
        if self._input is not None:
            self._input.close()

    def when_exited(self, callback: Callable[[], None]) -> None:
        """Call when its exit was reported, at once if it was."""
        if self.reported:
            callback()
        else:
            self._waiting.append(callback)

    def wait(self, reply: Reply) -> None:
        """Answer a Wait when its exit was reported."""
        if self.reported:
            reply(self._exit())
        else:
            self._replies.append(reply)

    def _exit(self) -> WaitResponse:
        return WaitResponse(exit_status=self.exit_status, exited_at=Timestamp.of(self.exited_at))

    def report(self) -> None:
        """Call everybody who waits for its exit."""
        self.reported = True
        waiting, self._waiting = self._waiting, []
        replies, self._replies = self._replies, []
        for reply in replies:
            reply(self._exit())
        for callback in waiting:
            callback()

    # Between two workers

    @property
    def idle(self) -> bool:
        """Whether nothing is under way that another worker could not go on with."""
        source = self._input
        return (
            not self._waiting
            and not self._draining
            and all(copy.closed or copy.idle for copy in self._outputs)
            and (source is None or source.closed or source.idle)
        )

    def rest(self) -> Json:
        """Return what `again` makes it of; its spec is an exec's alone."""
        said = {name: getattr(self, name) for name in (*_ASKED, *_BECOME)}
        launched, source = self._launched, self._input
        return {
            **said,
            "spec": self.spec if self.exec_id else {},
            "launched": None if launched is None else (launched.pidfd, launched.console),
            "outputs": [each.rest() for each in self._outputs if not each.closed],
            "input": None if source is None or source.closed else source.rest(),
            "replies": [each.place for each in self._replies if each.wanted],
        }

    @classmethod
    def again(
        cls,
        rest: Json,
        loop: Loop,
        *,
        log: ContainerLog | None,
        reply: Callable[[tuple[int, int]], Reply],
    ) -> Process:
        """Go on for the process that another worker had, whose descriptors this one has."""
        made = cls(spec=rest["spec"], **{name: rest[name] for name in _ASKED})
        for name in _BECOME:
            setattr(made, name, rest[name])
        if rest["launched"] is not None:
            pidfd, console = rest["launched"]
            made._launched = Launched(made.pid, pidfd, console=console, sync=None)
        made._outputs = [
            Output(
                loop,
                source,
                sink=sinks.again(sink),
                log=log,
                stream=stream,
                on_close=made._drained,
            )
            for source, stream, sink in rest["outputs"]
        ]
        if rest["input"] is not None:
            path, target, reopen, opened = rest["input"]
            made._input = Input(loop, path, target, hold=False, reopen=reopen, opened=opened)
        made._replies = [reply(place) for place in rest["replies"]]
        return made

    def drain(self, callback: Callable[[], None]) -> None:
        """Copy what it has written until now, close its streams, then call."""
        self._draining.append(callback)
        for output in list(self._outputs):
            if not output.closed:
                output.end()
        self._drained()

    def _drained(self) -> None:
        if all(output.closed for output in self._outputs):
            draining, self._draining = self._draining, []
            for callback in draining:
                callback()

    def close(self) -> None:
        """Close everything that is still open."""
        for output in self._outputs:
            output.abort()
        if self._input is not None:
            self._input.close()
        if self._launched is not None:
            self._launched.close()


class Streams:
    """The pipes between a process and its client, before there is a process."""

    def __init__(self, process: Process, *, log: ContainerLog | None, hold: bool) -> None:
        self._process = process
        self._log = log
        self._hold = hold
        self._child: list[int] = []
        self._ours: dict[str, int] = {}
        if process.stdin:
            check_fifo(process.stdin.removeprefix("fifo://"))
        sinks = {"stdout": process.stdout}
        if not process.terminal:
            sinks["stderr"] = process.stderr
        self._sinks = {name: open_sink(uri, hold=hold) for name, uri in sinks.items()}

    def child_ends(self) -> tuple[int, int, int]:
        """Return what become descriptors 0, 1 and 2: pipes, or /dev/null where nobody listens."""
        stdin = self._pipe("stdin", ours_reads=False) if self._process.stdin else self._null()
        stdout, stderr = (
            self._pipe(name, ours_reads=True)
            if self._log is not None or not isinstance(sink, Nothing)
            else self._null()
            for name, sink in self._sinks.items()
        )
        return stdin, stdout, stderr

    def _null(self) -> int:
        descriptor = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._child.append(descriptor)
        return descriptor

    def _pipe(self, name: str, *, ours_reads: bool) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        ours, child = (reading, writing) if ours_reads else (writing, reading)
        self._ours[name] = ours
        self._child.append(child)
        return child

    def close_child_ends(self) -> None:
        """Close them here, so that their other ends see when the process has closed them."""
        while self._child:
            os.close(self._child.pop())

    def close(self) -> None:
        """Close everything."""
        self.close_child_ends()
        for descriptor in self._ours.values():
            os.close(descriptor)
        for sink in self._sinks.values():
            sink.close()

    def connect(
        self, loop: Loop, console: int | None, on_close: Callable[[], None]
    ) -> tuple[list[Output], Input | None]:
        """Begin to copy; the console's descriptor stays its owner's."""
        if console is not None:
            self._ours = {"stdout": os.dup(console)}
            if self._process.stdin:
                self._ours["stdin"] = os.dup(console)
        outputs: list[Output] = []
        for name, sink in self._sinks.items():
            if name in self._ours:
                outputs.append(
                    Output(
                        loop,
                        self._ours[name],
                        sink=sink,
                        log=self._log,
                        stream=name,
                        on_close=on_close,
                    )
                )
            else:
                sink.close()
        if "stdin" not in self._ours:
            return outputs, None
        source = Input(
            loop,
            self._process.stdin.removeprefix("fifo://"),
            self._ours["stdin"],
            hold=self._hold,
            reopen=console is not None,
        )
        return outputs, source
