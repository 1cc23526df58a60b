"""/proc/PID/schedstat (Documentation/scheduler/sched-stats.rst): time on and off a processor."""

import re
from typing import NamedTuple

from runtime.errors import FormatError

_SHAPE = re.compile(rb"([0-9]{1,19}) ([0-9]{1,19}) ([0-9]{1,19})\n?")


class Schedstat(NamedTuple):
    """Of a process's first thread; nanoseconds are made microseconds."""

    run_usec: int
    wait_usec: int
    """Ready to run, with others on the processor."""
    timeslices: int


def parse(data: bytes) -> Schedstat:
    """Return the three numbers."""
    match = _SHAPE.fullmatch(data)
    if match is None:
        raise FormatError(f"not a schedstat line: {data[:80]!r}")
    return Schedstat(int(match[1]) // 1000, int(match[2]) // 1000, int(match[3]))
