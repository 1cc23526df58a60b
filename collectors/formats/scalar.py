"""Files of one value: a number, `max`, or two of them as in `cpu.max` (cgroup-v2.rst, "Format")."""

import re

from runtime.errors import FormatError

_NUMBER = re.compile(rb"-?[0-9]{1,20}\n?")


def number(data: bytes) -> int:
    """Return the number, which may be below zero."""
    if _NUMBER.fullmatch(data) is None:
        raise FormatError(f"not a number: {data[:80]!r}")
    return int(data)


_UNLIMITED = (1 << 63) - (1 << 16)
"""At or above it is the largest number of whole pages, whatever a page's size: no limit (v1)."""


def no_limit(value: int | None) -> int | None:
    """Return a limit of version 1 in bytes; None for the largest that there is, no limit."""
    return None if value is None or value >= _UNLIMITED else value


def limit(data: bytes) -> int | None:
    """Return the number; None for `max`, no limit."""
    return None if data.rstrip() == b"max" else number(data)


def bandwidth(data: bytes) -> tuple[int | None, int]:
    """Return `cpu.max`: the quota (None for `max`) and the period, in microseconds."""
    words = data.split()
    if len(words) != 2:
        raise FormatError(f"not a quota and a period: {data[:80]!r}")
    return limit(words[0]), number(words[1])
