"""/proc/meminfo (proc_meminfo(5))."""

import re

from runtime.errors import FormatError

_LINE = re.compile(rb"([^\s:]+):\s*([0-9]{1,18})( kB)?")


def parse(data: bytes) -> dict[str, int]:
    """Return the values by name, in bytes where the kernel prints kB."""
    result: dict[str, int] = {}
    for line in data.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"not a line of meminfo: {line[:80]!r}")
        result[match[1].decode("utf-8", "backslashreplace")] = int(match[2]) * (
            1024 if match[3] else 1
        )
    return result
