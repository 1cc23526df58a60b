"""End what was cloned: children, and siblings, for which this process's parent waits."""

import contextlib
import os
import select
import signal

from runtime.linux import constants, syscalls

_leaving: list[syscalls.Cloned] = []
"""Children that were killed, and have memory to take down for which nobody waits."""


def kill(cloned: syscalls.Cloned) -> None:
    """Kill it; what is gone already is."""
    with contextlib.suppress(ProcessLookupError):  # a sibling that its parent has waited for
        signal.pidfd_send_signal(cloned.pidfd, signal.SIGKILL)


def halt(cloned: syscalls.Cloned) -> None:
    """Let what has gone over never come back to its stack, which is in use.

    It sleeps until the one that it has become executes or ends, and stops then, before it has gone
    on. Until it is killed the memory is also its own: so no exec has to take that down first. A
    SIGCONT would undo it: whoever may see it is not to be in the container.
    """
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(cloned.pidfd, signal.SIGSTOP)


def end(cloned: syscalls.Cloned) -> None:
    """Kill it, wait for it, and close its descriptor."""
    kill(cloned)
    reap(cloned)


def reap(cloned: syscalls.Cloned) -> None:
    """Wait for the end of a child, or of a sibling, and close its descriptor."""
    try:
        os.waitid(constants.P_PIDFD, cloned.pidfd, os.WEXITED)
    except ChildProcessError:
        ended = select.poll()
        ended.register(cloned.pidfd, select.POLLIN)
        ended.poll()
    os.close(cloned.pidfd)


def collect() -> None:
    """Wait for what was killed before."""
    while _leaving:
        reap(_leaving.pop())


def let_go(cloned: syscalls.Cloned) -> None:
    """Kill it, and wait for it only in `collect`."""
    kill(cloned)
    try:
        os.waitid(constants.P_PIDFD, cloned.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # a sibling
        os.close(cloned.pidfd)
    else:
        _leaving.append(cloned)
