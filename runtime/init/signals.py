"""What a child makes of the signals that its parent ignores."""

import os
import signal

from runtime.linux import syscalls


def ignored() -> int:
    """Return the signals that this process ignores, a bit each from SIGHUP's 1 on (proc(5))."""
    descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.read(descriptor, 1 << 14)
    finally:
        os.close(descriptor)
    return int(status.partition(b"SigIgn:")[2].split(None, 1)[0], 16)


def reset(ignored_ones: int) -> None:
    """Give every ignored signal its default action, and block none; handlers went by the clone.

    `make` starts its commands with glibc's own signals ignored: those too.
    """
    number = 0
    while ignored_ones:
        number += 1
        if ignored_ones & 1:
            syscalls.default_action(number)
        ignored_ones >>= 1
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
