"""The last steps before the command: tell the parent that all is set up, and wait for the start.

A parent that stays, as a shim does, starts its child over their socket. One that ends, as a command
line does, leaves two FIFOs in a directory: whoever starts the container writes into the first, and
reads from the second how that went. Only read and write are called here, as a filter of system
calls may be in force.
"""

import os
import signal
from typing import Final, NoReturn

from runtime.errors import FailedPrecondition
from runtime.init.step import Child, Step

START: Final = "exec.fifo"
"""What a start writes into; whoever opens it finds nobody listening if the init has ended."""
REPORT: Final = "report.fifo"
"""Where a start reads why the command could not be executed; its end is that it was."""
_ENDING: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)


class Ready(Step):
    """Tell the parent that all is set up, and perhaps wait for its word to go on."""

    __slots__ = ("waits",)

    def __init__(self, *, wait: bool) -> None:
        self.waits = wait

    @property
    def parks(self) -> bool:
        """Whether the start comes from somebody else than the parent."""
        return False

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must stay open until the start, beside the parent's socket."""
        return ()

    def describe(self) -> str:
        """Say it."""
        return "wait for the start" if self.waits else "tell the parent"

    def execute(self, child: Child, /) -> None:
        """Tell it; a parent that is gone never starts it."""
        os.write(child.sync.fileno(), b"R")
        if self.waits and os.read(child.sync.fileno(), 16) != b"S":
            raise FailedPrecondition("the parent is gone")


class Park(Ready):
    """Wait for a start that comes from anywhere on the host, when the parent has gone."""

    __slots__ = ("_directory", "_report", "_start")

    def __init__(self, directory: str) -> None:
        super().__init__(wait=False)
        self._directory = directory
        self._start = self._report = -1

    @property
    def parks(self) -> bool:
        """True."""
        return True

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The two FIFOs."""
        return self._start, self._report

    def describe(self) -> str:
        """Name the directory."""
        return f"wait for a start by {self._directory}/{START}"

    def prepare(self) -> None:
        """Make the FIFOs and open both ends of each: so nobody waits for somebody to open one."""
        for name in (START, REPORT):
            os.mkfifo(f"{self._directory}/{name}", 0o600)
        self._start = os.open(f"{self._directory}/{START}", os.O_RDWR | os.O_CLOEXEC)
        self._report = os.open(f"{self._directory}/{REPORT}", os.O_RDWR | os.O_CLOEXEC)

    def release(self) -> None:
        """Close them here; the child has its own."""
        for descriptor in self.descriptors:
            if descriptor >= 0:
                os.close(descriptor)
        self._start = self._report = -1

    def execute(self, child: Child, /) -> None:
        """Wait until the parent has written down whom it has made, then for the start.

        An init of a pid namespace gets no signal that it does not handle: so it handles those that
        would have ended it.
        """
        for number in _ENDING:
            signal.signal(number, _end)
        os.write(child.sync.fileno(), b"R")
        if os.read(child.sync.fileno(), 16) != b"P":
            raise FailedPrecondition("the parent is gone")
        child.report = self._report
        child.sync.close()
        os.read(self._start, 1)
        os.close(self._start)


def _end(number: int, _frame: object) -> NoReturn:
    os._exit(128 + number)
