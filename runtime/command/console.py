"""Hand a descriptor to whoever asked for it, and follow a process: its signals, its end."""

import contextlib
import os
import signal
import socket

from runtime.errors import Unavailable
from runtime.linux import constants


def send(path: str, descriptor: int, name: bytes) -> None:
    """Send a descriptor over a listening unix socket (unix(7), SCM_RIGHTS)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from None
        socket.send_fds(connection, [name], [descriptor])


_FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def forward_signals(pidfd: int) -> None:
    """Send the process what is sent to this one."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)

    for number in _FORWARDED:
        signal.signal(number, forward)


def wait(pidfd: int) -> int:
    """Return a child's exit status, 128 and the number for a signal."""
    result = os.waitid(constants.P_PIDFD, pidfd, os.WEXITED)
    if result is None:
        return 255
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
