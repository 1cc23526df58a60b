"""Hand a terminal's master to whoever asked for it, or be the terminal's other side."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import tty
from collections.abc import Generator

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


@contextlib.contextmanager
def raw(descriptor: int) -> Generator[None]:
    """Let every key through; the terminal is as before at the end. Nothing for what is none."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def proxy(master: int, pidfd: int) -> None:
    """Copy between the own streams and a terminal, until its process ends and all is written."""
    _resize(master)
    signal.signal(signal.SIGWINCH, lambda _number, _frame: _resize(master))
    sources = [0, master, pidfd]
    with raw(0):
        going = True
        while going:
            going = _copy_once(sources, master, pidfd)


def _copy_once(sources: list[int], master: int, pidfd: int) -> bool:
    """Copy what there is on the terminal first; False when it is over."""
    readable = select.select(sources, [], [])[0]
    if master in readable:
        return _copy(master, 1)
    if 0 in readable and not _copy(0, master):
        sources.remove(0)
    return pidfd not in readable


def _copy(source: int, target: int) -> bool:
    """Copy what there is; False at the end of it."""
    try:
        data = os.read(source, 1 << 16)
        rest = data
        while rest:
            rest = rest[os.write(target, rest) :]
    except OSError:  # EIO: the other side of a terminal is closed
        return False
    return bool(data)


def _resize(master: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, struct.pack("=4H", 0, 0, 0, 0))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)


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
