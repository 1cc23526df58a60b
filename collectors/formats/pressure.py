"""Pressure stall information, `cpu.pressure` and its like (accounting/psi.rst)."""

import re
from collections.abc import Sequence

from msgspec import Struct

from runtime.errors import FormatError

_NUMBER = rb"([0-9]{1,3}\.[0-9]{2})"
_FIELDS = rb" avg10=%b avg60=%b avg300=%b total=([0-9]{1,20})" % (_NUMBER, _NUMBER, _NUMBER)
_LINE = re.compile(rb"(some|full)" + _FIELDS)
_BOTH = re.compile(rb"some%b\nfull%b\n?" % (_FIELDS, _FIELDS))
"""What all but old kernels write, matched at once."""


class PressureLine(Struct, frozen=True, gc=False):
    """Percentages as the kernel prints them, and stalled microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total_usec: int


class Pressure(Struct, frozen=True, gc=False):
    """One PSI file (psi.rst)."""

    some: PressureLine | None
    full: PressureLine | None


def parse(data: bytes) -> Pressure:
    """Return both lines; older kernels have no `full` for cpu."""
    both = _BOTH.fullmatch(data)
    if both is not None:
        fields = both.groups()
        return Pressure(_line(fields[:4]), _line(fields[4:]))
    lines: dict[bytes, PressureLine] = {}
    for line in data.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"not a line of pressure information: {line[:80]!r}")
        lines[match[1]] = _line(match.groups()[1:])
    return Pressure(lines.get(b"some"), lines.get(b"full"))


def _line(fields: Sequence[bytes]) -> PressureLine:
    avg10, avg60, avg300, total = fields
    return PressureLine(float(avg10), float(avg60), float(avg300), int(total))
