"""Small cgroup files: a line of words, keys with limits, memory.numa_stat (cgroup-v2.rst, memcg v1)."""

from collectors.formats import scalar
from runtime.errors import FormatError


def line(data: bytes) -> str:
    """Return the only line, as cgroup.type has it."""
    return data.decode("ascii", "backslashreplace").strip()


def words(data: bytes) -> tuple[str, ...]:
    """Return the words of the only line, as cgroup.controllers has them."""
    return tuple(data.decode("ascii", "backslashreplace").split())


def limits(data: bytes) -> dict[str, int | None]:
    """Return `misc.max` and its like: None for `max`."""
    found: dict[str, int | None] = {}
    for row in data.splitlines():
        fields = row.split()
        if len(fields) != 2:
            raise FormatError(f"not a key and a limit: {row[:80]!r}")
        found[fields[0].decode("ascii", "backslashreplace")] = scalar.limit(fields[1])
    return found


def numa(data: bytes) -> dict[str, dict[str, int]]:
    """Return memory.numa_stat by what is counted, then by node (`N0`): bytes in v2, pages in v1.

    Version 1 writes a total before the nodes, as `file=12 N0=12`; of its lines those count that are
    hierarchical.
    """
    found: dict[str, dict[str, int]] = {}
    for row in data.splitlines():
        try:
            name, *pairs = row.decode("ascii").split()
            nodes = {
                key: _count(value) for key, _, value in (pair.partition("=") for pair in pairs)
            }
        except ValueError:
            raise FormatError(f"not a line of memory.numa_stat: {row[:80]!r}") from None
        found[name.partition("=")[0].removeprefix("hierarchical_")] = nodes
    return found


def _count(value: str) -> int:
    """Return a number that fits into the kernel's own; raise `ValueError` for any other word."""
    return int(value if len(value) < 20 else "too long")
