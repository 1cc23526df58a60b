"""Pressure stall information, `cpu.pressure` and its like (accounting/psi.rst)."""

import re

from msgspec import Struct

from runtime.errors import FormatError

_NUMBER = rb"([0-9]{1,3}\.[0-9]{2})"
_LINE = re.compile(
    rb"(some|full) avg10=%b avg60=%b avg300=%b total=([0-9]{1,20})" % (_NUMBER, _NUMBER, _NUMBER)
)


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
    lines: dict[bytes, PressureLine] = {}
    for line in data.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise FormatError(f"not a line of pressure information: {line[:80]!r}")
        lines[match[1]] = PressureLine(
            float(match[2]), float(match[3]), float(match[4]), int(match[5])
        )
    return Pressure(lines.get(b"some"), lines.get(b"full"))
