"""Files of one value: a number, `max`, or two of them as in `cpu.max` (cgroup-v2.rst, "Format")."""

import re

from runtime.errors import FormatError

_NUMBER = re.compile(rb"-?[0-9]{1,20}\n?")


def number(data: bytes) -> int:
    """Return the number, which may be below zero."""
    if _NUMBER.fullmatch(data) is None:
        raise FormatError(f"not a number: {data[:80]!r}")
    return int(data)


def limit(data: bytes) -> int | None:
    """Return the number; None for `max`, no limit."""
    return None if data.rstrip() == b"max" else number(data)


def bandwidth(data: bytes) -> tuple[int | None, int]:
    """Return `cpu.max`: the quota (None for `max`) and the period, in microseconds."""
    words = data.split()
    if len(words) != 2:
        raise FormatError(f"not a quota and a period: {data[:80]!r}")
    return limit(words[0]), number(words[1])
