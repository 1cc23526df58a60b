"""Learn that the kernel killed for lack of memory (cgroup-v1/memory.rst, cgroup-v2.rst)."""

import contextlib
import os
import time

from runtime.cgroups.hierarchy import read, write
from runtime.linux import syscalls

_IN_MODIFY = 0x2
_KILL_SECONDS = 0.1


class OomWatch:
    """A descriptor that becomes readable when there may have been a kill; `read` tells.

    v1: an eventfd on memory.oom_control; v2: inotify on memory.events.
    """

    __slots__ = ("_descriptor", "_file", "_first", "_kills")

    def __init__(self, directory: str, *, version: int) -> None:
        self._file = f"{directory}/{'memory.oom_control' if version == 1 else 'memory.events'}"
        self._first = version == 1
        self._kills = self._count() or 0
        if version == 2:
            self._descriptor = syscalls.inotify(self._file, _IN_MODIFY)
            return
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        control = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            write(f"{directory}/cgroup.event_control", f"{self._descriptor} {control}")
        except OSError:
            self.close()
            raise
        finally:
            os.close(control)

    def rest(self) -> "tuple[str, int, bool, int]":
        """Return what `again` makes a watch of that has the same descriptor."""
        return self._file, self._descriptor, self._first, self._kills

    @classmethod
    def again(cls, rest: "tuple[str, int, bool, int]") -> "OomWatch":
        """Go on for a watch that ended with its process, in one that has its descriptors."""
        watch = cls.__new__(cls)
        watch._file, watch._descriptor, watch._first, watch._kills = rest  # noqa: SLF001 - its own
        return watch

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._descriptor

    def read(self) -> bool:
        """Empty the descriptor; tell whether the kernel killed since the last time."""
        told = False
        with contextlib.suppress(BlockingIOError):
            told = bool(os.read(self._descriptor, 4096))
        kills = self._count()
        # v1 tells of the lack of memory just before it kills for it.
        deadline = time.monotonic() + (_KILL_SECONDS if told and self._first else 0)
        while kills == self._kills and time.monotonic() < deadline:
            time.sleep(0.001)
            kills = self._count()
        if kills is None or kills == self._kills:
            return False
        self._kills = kills
        return True

    def kills(self) -> int:
        """Return how many processes were killed as far as `read` has seen."""
        return self._kills

    def close(self) -> None:
        """Stop watching; again is nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _count(self) -> int | None:
        """Return the number of kills; None once the cgroup is gone."""
        try:
            data = read(self._file)
        except OSError:
            return None
        # A line `oom_kill N`; that one alone, as a shim need not load a parser for all of them.
        _, _, rest = (b"\n" + data).partition(b"\noom_kill ")
        return int(rest.split(b"\n", 1)[0] or 0)
