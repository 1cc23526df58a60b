"""Be the other side of a container's terminal."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Generator


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
