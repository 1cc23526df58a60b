"""The lines of /proc/PID/uid_map and gid_map (user_namespaces(7))."""

from collections.abc import Iterable
from typing import NamedTuple

from runtime.errors import FormatError


class Extent(NamedTuple):
    """`size` ids from `inside` on are `outside` and on in the other namespace."""

    inside: int
    outside: int
    size: int


def parse(data: bytes) -> tuple[Extent, ...]:
    """Return the extents of a map file; none if the map was not written yet."""
    extents: list[Extent] = []
    for line in data.splitlines():
        try:
            inside, outside, size = map(int, line.split())
        except ValueError:
            raise FormatError(f"not a line of an id map: {line[:80]!r}") from None
        extents.append(Extent(inside, outside, size))
    return tuple(extents)


def render(extents: Iterable[Extent]) -> bytes:
    """Return what to write into a map file."""
    return b"".join(b"%d %d %d\n" % each for each in extents)
