"""The process that stays beside containers: it waits, and a fork of itself does what there is to do.

Whatever a fork (a worker) has written to in memory goes with it: reference counts for the most part.
Worker and keeper share one table of descriptors (CLONE_FILES of clone(2)), so that a worker that has
nothing more to do leaves all of them open, writes down what they are, and ends; the keeper waits for
any of them to be ready, without knowing what they are, and forks the next worker. The children that
a worker leaves become the keeper's (PR_SET_CHILD_SUBREAPER), which tells the workers of their ends.
"""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
import struct
import time

from runtime.linux import constants, syscalls
from runtime.shim.saying import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from runtime.shim.bundle import Json

_RESTS = 75
"""The exit status of a worker that is to have a successor; what it knows is written down."""
_AGAIN_SECONDS = 0.1
"""After what time a fork is tried again."""
_CLONE_FILES = 0x400
_RECORD = struct.Struct("=qqq")
_RECORDS = 100


class Keeper:
    """Made in the process that stays, before its first worker."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.watched = select.epoll()
        """What a worker waits for, and when there is none the keeper does."""
        self.news, self._told = os.pipe2(os.O_CLOEXEC)
        """Its reading end tells workers of children that have ended, and of signals."""
        self._memory = os.memfd_create("rest", os.MFD_CLOEXEC)
        self._wakeup, self._sender = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._worker = 0

    # Of the keeper

    def run(self, work: Callable[[], None], begun: Callable[[], None], *, when: int = -1) -> None:
        """Have `work` done, in forks, until one of them returns from it.

        `begun` is called here when the first has been forked, and `when` can be read if it is given.
        If one fails this process ends too, with status 1; the worker has said why.
        """
        syscalls.prctl(constants.PR_SET_CHILD_SUBREAPER, 1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, _noted)
        signal.set_wakeup_fd(self._sender, warn_on_full_buffer=False)
        gc.disable()  # nothing here makes cycles, and a collection writes to all it looks at
        gc.freeze()
        awake, asleep = select.poll(), select.poll()
        awake.register(self._wakeup, select.POLLIN)
        asleep.register(self._wakeup, select.POLLIN)
        asleep.register(self.watched.fileno(), select.POLLIN)
        self._worker = _fork_with_files()
        if not self._worker:
            self._be_worker(work)
        while when >= 0 and not self._readable(when):
            if self._collect(work):
                return
        begun()
        while True:
            # Nothing is opened or closed here: what has the number by now may be a worker's.
            (awake if self._worker else asleep).poll()
            self._have_worker(work)
            if self._collect(work):
                return

    def _readable(self, descriptor: int) -> bool:
        """Wait until it is, or something else has come; tell which."""
        told = select.poll()
        for each in (descriptor, self._wakeup):
            told.register(each, select.POLLIN)
        return any(each == descriptor for each, _ in told.poll())

    def _have_worker(self, work: Callable[[], None]) -> None:
        while not self._worker:
            try:
                self._worker = _fork_with_files()
            except OSError as error:
                say(f"cannot fork: {error}")
                time.sleep(_AGAIN_SECONDS)
                continue
            if not self._worker:
                self._be_worker(work)

    def _be_worker(self, work: Callable[[], None]) -> NoReturn:
        syscalls.prctl(constants.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:  # it was killed before that call
            os._exit(1)
        signal.set_wakeup_fd(-1)
        syscalls.prctl(constants.PR_SET_CHILD_SUBREAPER, 1)
        gc.enable()
        work()
        os._exit(0)

    def _collect(self, work: Callable[[], None]) -> bool:
        """Tell the worker what came; tell the caller whether all is over."""
        try:
            numbers = os.read(self._wakeup, 4096)
        except BlockingIOError:
            return False  # a descriptor woke the keeper
        for number in set(numbers) - {signal.SIGCHLD}:
            self._tell(0, number)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return False
            if pid != self._worker:
                self._have_worker(work)  # or nobody would read what is told
                self._tell(pid, status)
            elif os.waitstatus_to_exitcode(status) == _RESTS:
                self._worker = 0
            else:
                return self._over(status)

    def _over(self, status: int) -> bool:
        if status:
            if os.WIFSIGNALED(status):
                say(f"the shim's worker was killed by signal {os.WTERMSIG(status)}")
            os._exit(1)
        return True

    def _tell(self, pid: int, status: int) -> None:
        os.write(self._told, _RECORD.pack(pid, status, time.time_ns()))

    # Of the workers

    def read(self) -> Iterator[tuple[int, int, int]]:
        """Return who has ended: pid, wait status (waitpid(2)), nanoseconds since 1970.

        With a pid of 0 it is a signal that came, by its number.
        """
        return _RECORD.iter_unpack(os.read(self.news, _RECORD.size * _RECORDS))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must stay open as long as the keeper does."""
        own = self.news, self._told, self._memory, self._wakeup, self._sender
        return self.watched.fileno(), *own

    def remembered(self) -> Json | None:
        """Return what the worker before has written down; None for the first."""
        size = os.fstat(self._memory).st_size
        found: Json | None = marshal.loads(os.pread(self._memory, size, 0)) if size else None  # noqa: S302 - our own
        return found

    def rest(self, memory: Json) -> NoReturn:
        """Write down what the next worker is to know, and end this one."""
        data = marshal.dumps(memory)
        os.ftruncate(self._memory, 0)
        os.pwrite(self._memory, data, 0)
        os._exit(_RESTS)


def _fork_with_files() -> int:
    """Fork a process that has this one's table of descriptors, not a copy of it."""
    # flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup
    packed = struct.pack("=11Q", _CLONE_FILES, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    return syscalls.call("clone3", packed, len(packed))


def _noted(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup descriptor tells of it."""
