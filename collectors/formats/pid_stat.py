"""/proc/PID/stat (proc_pid_stat(5))."""

from typing import NamedTuple

from runtime.errors import FormatError
from runtime.formats import text

_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD of the kernel's sched.h."""


class PidStat(NamedTuple):
    """The fields that are of use here; times in clock ticks."""

    pid: int
    comm: str
    state: str
    ppid: int
    kernel_thread: bool
    utime_ticks: int
    stime_ticks: int
    threads: int
    start_ticks: int
    """After boot."""
    rss_pages: int
    program: tuple[bytes, ...] = ()
    """What is another with each program (execve(2)), name, session and parent; to be compared only.

    Addresses are 0 for who may not trace the process, and are drawn anew by each exec."""


def parse(data: bytes) -> PidStat:
    """Return one process; its name may hold any byte, parentheses and line ends among them."""
    opening, closing = data.find(b"("), data.rfind(b")")
    fields = data[closing + 1 :].split()
    if opening < 1 or closing < opening or len(fields) < 22 or not fields[0].isalpha():
        raise FormatError(f"not a process's stat: {data[:80]!r}")
    try:
        return PidStat(
            pid=int(data[:opening]),
            comm=text.decode(data[opening + 1 : closing]),
            state=fields[0].decode("ascii"),
            ppid=int(fields[1]),
            kernel_thread=bool(int(fields[6]) & _KERNEL_THREAD),
            utime_ticks=int(fields[11]),
            stime_ticks=int(fields[12]),
            threads=int(fields[17]),
            start_ticks=int(fields[19]),
            rss_pages=int(fields[21]),
            program=(data[opening:closing], fields[1], fields[3], *fields[23:26], *fields[45:47]),
        )
    except ValueError:
        raise FormatError(f"not a process's stat: {data[:80]!r}") from None


def start_ticks(data: bytes) -> int:
    """Return only when it started, for who wants no more than the process's identity."""
    fields = data[data.rfind(b")") + 1 :].split(None, 20)
    try:
        return int(fields[19])
    except (IndexError, ValueError):
        raise FormatError(f"not a process's stat: {data[:80]!r}") from None
