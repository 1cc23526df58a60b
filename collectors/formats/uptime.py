"""/proc/uptime (proc_uptime(5))."""

import re

from runtime.errors import FormatError

_SHAPE = re.compile(rb"([0-9]{1,15}\.[0-9]{2}) [0-9]{1,18}\.[0-9]{2}\n?")


def parse(data: bytes) -> float:
    """Return the seconds since boot."""
    match = _SHAPE.fullmatch(data)
    if match is None:
        raise FormatError(f"not an uptime: {data[:80]!r}")
    return float(match[1])
