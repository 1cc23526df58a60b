"""A client attached to a container's process: streams, terminal, signals, and how it ended."""

import asyncio
import contextlib
import errno
import signal
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import terminal
from inspector.cli.engine.fifos import Fifos
from inspector.cli.engine.signals import PROXIED, name
from inspector.cli.engine.streams import Output, copy_input
from inspector.errors import Failure
from runtime.api import Runtime
from runtime.errors import RuntimeFailure
from runtime.types import Exit

_ENOUGH: Final = 3
"""So many interrupts, and the client gives up waiting for the container to act on them."""

_ENDING: Final = (signal.SIGHUP, signal.SIGTERM)

Ending = Literal["exited", "detached", "abandoned", "unread"]


@dataclass(frozen=True, slots=True)
class Process:
    """A container's first process, or with `exec_id` one more."""

    runtime: Runtime
    container: str
    exec_id: str = ""
    tty: bool = False

    async def resize(self) -> None:
        """Tell it the size of our terminal; one that has just ended needs none."""
        found = terminal.size(1, 0, 2) if self.tty else None
        if found is not None:
            with contextlib.suppress(RuntimeFailure):
                await self.runtime.resize(
                    self.container, width=found[0], height=found[1], exec_id=self.exec_id
                )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How being attached ended; `status` is the exit status for our own process."""

    ending: Ending
    status: int


class NoTerminal(Failure):
    """A terminal is to be passed on, and there is none; 1, as Docker has it."""


class Interrupted(Failure):
    """A signal ended the client, not the process."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"ended by {name(number)}: {what}")
        self.status = 128 + number


class Signals:
    """Routes signals to us: before the process runs they cancel, then they go to it.

    With a raw terminal none is passed on: keys arrive as bytes, and what is sent to the client
    means the client alone.
    """

    def __init__(self, *, proxy: bool) -> None:
        self._proxy = proxy
        self._arrived: asyncio.Queue[int] = asyncio.Queue()
        self._running = False
        self._task: asyncio.Task[object] | None = None
        self._cancelled_by: int | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (*PROXIED, signal.SIGWINCH):
            loop.add_signal_handler(number, self._arrive, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (*PROXIED, signal.SIGWINCH):
            loop.remove_signal_handler(number)
        if isinstance(error, asyncio.CancelledError) and self._cancelled_by is not None:
            what = "its process goes on" if self._running else "nothing was started"
            raise Interrupted(self._cancelled_by, what) from error

    def process_runs(self) -> None:
        """Tell that there is a process to pass signals on to."""
        self._running = True

    async def forward(self, process: Process) -> None:
        """Pass signals on until the user has interrupted often enough; then return."""
        interrupts = 0
        while interrupts < _ENOUGH:
            number = await self._arrived.get()
            if number == signal.SIGWINCH:
                await process.resize()
                continue
            interrupts += number in {signal.SIGINT, signal.SIGTERM}
            with contextlib.suppress(RuntimeFailure):  # it has just ended: `wait` says how
                await process.runtime.kill(process.container, number, exec_id=process.exec_id)

    def _arrive(self, number: int) -> None:
        if number == signal.SIGWINCH or (self._running and self._proxy):
            self._arrived.put_nowait(number)
        elif self._task is not None and self._cancelled_by is None:
            self._cancelled_by = number
            self._task.cancel()


@contextlib.contextmanager
def cancelling(*, resized: Callable[[], None]) -> Generator[None]:
    """Let SIGHUP and SIGTERM cancel the current task, so that a terminal is given back.

    Raises `Interrupted` then. `resized` is called when our terminal's size has changed.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    arrived: list[int] = []

    def arrive(number: int) -> None:
        arrived.append(number)
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGWINCH, resized)
    for number in _ENDING:
        loop.add_signal_handler(number, arrive, number)
    try:
        yield
    except asyncio.CancelledError as error:
        if not arrived:
            raise
        raise Interrupted(arrived[0], "its terminal was hung up") from error
    finally:
        for number in (*_ENDING, signal.SIGWINCH):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def raw_terminal(*, tty: bool, interactive: bool) -> Generator[bool]:
    """Make our terminal raw if the container is to have it; yield whether it was.

    Raises `Failure` when a terminal is to be passed on and there is none, as Docker does.
    """
    if not (tty and interactive):
        yield False
        return
    check_terminal(tty=tty, interactive=interactive)
    with terminal.RawTerminal(0):
        yield True


def check_terminal(*, tty: bool, interactive: bool) -> None:
    """Raise `Failure` when `-it` is asked for and stdin is no terminal."""
    if tty and interactive and not terminal.is_terminal(0):
        raise NoTerminal(
            "the input device is not a TTY: leave out -t, or start this from a terminal"
        )


async def attached(process: Process, fifos: Fifos, signals: Signals) -> Outcome:
    """Stay with a running process until it ends, the user detaches, or nobody reads it any more."""
    signals.process_runs()
    await process.resize()
    outputs = [
        Output(source, sink)
        for stream, sink in (("stdout", 1), ("stderr", 2))
        if (source := fifos.descriptor(stream)) is not None
    ]
    async with asyncio.TaskGroup() as group:
        copies = [group.create_task(_copy(output)) for output in outputs]
        ended = group.create_task(_ended(process))
        helpers = [
            group.create_task(_input(process, fifos), name="detached"),
            group.create_task(signals.forward(process), name="abandoned"),
            group.create_task(_unread(copies), name="unread"),
        ]
        try:
            first = await _until_over(ended, helpers)
            if first is ended:
                await _last_words(outputs, copies)
        finally:
            for task in (*copies, *helpers, ended):
                task.cancel()
    if first is not ended:
        return _outcome(first.get_name())
    if any(not copy.cancelled() and not copy.result() for copy in copies):
        return _outcome("unread")  # the same whether the end or the failure was noticed first
    return Outcome("exited", _code(ended))


def flush_standard_streams() -> None:
    """Empty Python's buffers before bytes are written past them."""
    sys.stdout.flush()
    sys.stderr.flush()


def _outcome(ending: str) -> Outcome:
    match ending:
        case "detached":
            return Outcome("detached", exit_codes.DONE)
        case "unread":
            return Outcome("unread", exit_codes.BROKEN_PIPE)
        case _:
            return Outcome("abandoned", exit_codes.INTERRUPTED)


async def _ended(process: Process) -> Exit | RuntimeFailure:
    """Wait for the end; a failure is returned, so that what was written is copied nevertheless."""
    try:
        return await process.runtime.wait(process.container, exec_id=process.exec_id)
    except RuntimeFailure as failure:
        return failure


async def _until_over(
    ended: "asyncio.Task[Exit | RuntimeFailure]", helpers: "list[asyncio.Task[None]]"
) -> "asyncio.Task[Any]":
    """Return the task that ended first; of several at once, the process's own end."""
    tasks: set[asyncio.Task[Any]] = {ended, *helpers}
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return ended if ended in done else done.pop()


async def _last_words(outputs: list[Output], copies: "list[asyncio.Task[bool]]") -> None:
    """Copy what was written before the end."""
    for output in outputs:
        output.process_ended()
    await asyncio.wait(copies)


def _code(ended: "asyncio.Task[Exit | RuntimeFailure]") -> int:
    end = ended.result()
    if isinstance(end, RuntimeFailure):
        raise end
    return end.code


async def _copy(output: Output) -> bool:
    """Copy a stream; return whether its reader was there to the end."""
    try:
        await output.copy()
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EIO}:  # EIO is a terminal that hung up
            options.talk(f"its output cannot be written: {error.strerror}")
        return False
    return True


async def _unread(copies: list[asyncio.Task[bool]]) -> None:
    """Return when somebody stopped reading what the process writes; else never."""
    pending: set[asyncio.Task[bool]] = set(copies)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if not all(task.result() for task in done):
            return
    await asyncio.Event().wait()


async def _input(process: Process, fifos: Fifos) -> None:
    """Copy our stdin until its end, which the process is told; return only when detached."""
    sink = fifos.descriptor("stdin")
    if sink is not None:
        keys = terminal.DetachFilter() if process.tty else None
        await copy_input(0, sink, keys)
        if keys is not None and keys.detached:
            return
        fifos.close_stdin()
        with contextlib.suppress(RuntimeFailure):  # it has just ended
            await process.runtime.close_stdin(process.container, exec_id=process.exec_id)
    await asyncio.Event().wait()
