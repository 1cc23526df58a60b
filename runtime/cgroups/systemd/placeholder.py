"""A process that keeps a scope alive until the container's init is in it."""

import contextlib
import os
import signal

from runtime.linux import constants, syscalls


class Placeholder:
    """A child that does nothing: systemd makes no scope without a process, and keeps none.

    Only for a process without threads.
    """

    __slots__ = ("_pidfd", "pid")

    def __init__(self) -> None:
        parent = os.getpid()
        child = syscalls.clone3(0, exit_signal=signal.SIGCHLD)
        if child.pid == 0:
            try:
                syscalls.prctl(constants.PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() == parent:
                    signal.pause()
            finally:
                os._exit(0)
        self.pid, self._pidfd = child.pid, child.pidfd

    def end(self) -> None:
        """End it, and wait for that; again is nothing."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # waited for by whoever reaps all children
            os.waitid(constants.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        self._pidfd = -1
