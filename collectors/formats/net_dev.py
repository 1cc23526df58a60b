"""/proc/PID/net/dev (proc_pid_net(5)): counters of each interface of a network namespace."""

from collections.abc import Mapping

from runtime.errors import FormatError

_COLUMNS = (
    ("rx_bytes", 0),
    ("rx_packets", 1),
    ("rx_errors", 2),
    ("rx_dropped", 3),
    ("tx_bytes", 8),
    ("tx_packets", 9),
    ("tx_errors", 10),
    ("tx_dropped", 11),
)
"""Which of the sixteen numbers of a line; the others are sums of rarer errors, or multicast."""
COUNTERS = tuple(name for name, _ in _COLUMNS)


def parse(data: bytes) -> Mapping[str, Mapping[str, int]]:
    """Return each interface's counters by its name; raise `FormatError` on a line that is not one."""
    lines = data.split(b"\n")
    if len(lines) < 3 or lines[-1]:
        raise FormatError("net/dev ends within a line, or has no heading")
    found: dict[str, Mapping[str, int]] = {}
    for line in lines[2:-1]:
        # A name holds no colon and no space (dev_valid_name() in net/core/dev.c).
        name, _, numbers = line.partition(b":")
        fields = numbers.split()
        try:
            values = {counter: int(fields[index]) for counter, index in _COLUMNS}
        except (ValueError, IndexError):
            raise FormatError(f"not a line of net/dev: {line[:80]!r}") from None
        found[name.strip().decode("utf-8", "surrogateescape")] = values
    return found
