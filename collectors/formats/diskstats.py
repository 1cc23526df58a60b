"""/proc/diskstats (admin-guide/iostats.rst): here only for the names of the devices."""

from runtime.errors import FormatError
from runtime.formats import text


def parse(data: bytes) -> dict[str, str]:
    """Return the kernel's names by `major:minor`."""
    result: dict[str, str] = {}
    for line in data.splitlines():
        fields = line.split(None, 3)
        if len(fields) < 3 or not fields[0].isdigit() or not fields[1].isdigit():
            raise FormatError(f"not a line of diskstats: {line[:80]!r}")
        device = f"{fields[0].decode('ascii')}:{fields[1].decode('ascii')}"
        result[device] = text.decode(fields[2])
    return result
