"""The kernel's "flat keyed" files: one `key value` pair a line (cgroup-v2.rst, "Format")."""

from runtime.errors import FormatError


def parse(data: bytes) -> dict[str, int]:
    """Return `cpu.stat`, `memory.stat`, `memory.events` and their like as numbers by key."""
    result: dict[str, int] = {}
    for line in data.splitlines():
        key, _, value = line.partition(b" ")
        try:
            result[key.decode("ascii")] = int(value)
        except ValueError:
            raise FormatError(f"not a flat keyed line: {line[:80]!r}") from None
    return result
