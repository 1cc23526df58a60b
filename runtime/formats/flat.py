"""The kernel's "flat keyed" files: one `key value` pair a line (cgroup-v2.rst, "Format")."""

import re

from runtime.errors import FormatError

_SHAPE = re.compile(rb"(?:[!-~]+ -?[0-9]{1,20}(?:\n|\Z))*")
"""Checked as a whole first: it is cheaper than a check for each of memory.stat's sixty lines."""


def parse(data: bytes) -> dict[str, int]:
    """Return `cpu.stat`, `memory.stat`, `memory.events` and their like as numbers by key."""
    if _SHAPE.fullmatch(data) is None:
        raise FormatError(f"not a flat keyed file: {_first_bad(data)!r}")
    words = data.decode("ascii").split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def _first_bad(data: bytes) -> bytes:
    for line in data.split(b"\n"):
        if _SHAPE.fullmatch(line) is None:
            return line[:80]
    return data[:80]
