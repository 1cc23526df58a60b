"""Numbers as text: bytes, rates, cores, shares and durations, each in as few cells as it can be read in."""

from collections.abc import Iterable
from typing import Final

_SIZES: Final = "KMGTPE"
_YEAR: Final = 365 * 86400.0


def size(value: float) -> str:
    """Return bytes in powers of 1024, three digits long: `0`, `812`, `38.2M`, `1.50G`."""
    if value < 0:
        return f"-{size(-value)}"
    if value < 1000:
        return str(int(value))
    scaled = float(value)
    for suffix in _SIZES:
        scaled /= 1024
        if scaled < 999.5 or suffix == _SIZES[-1]:
            return f"{_three(scaled)}{suffix}"
    raise AssertionError("the last suffix takes every size")


def rate(per_second: float) -> str:
    """Return bytes a second, without the `/s` that the column's title has."""
    return size(per_second)


def cores(value: float) -> str:
    """Return processor cores: `0.12`, `12.3`."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def percent(ratio: float) -> str:
    """Return a share of 0 to 1 as a whole per cent: `71 %`; what is there but rounds to none is `<1 %`."""
    if 0 < ratio < 0.005:
        return "<1 %"
    return f"{ratio * 100:.0f} %"


def duration(seconds: float) -> str:
    """Return the largest whole unit: `4s`, `12m`, `3h`, `2d`, `1y`."""
    seconds = max(0.0, seconds)
    for limit, unit, suffix in (
        (60.0, 1.0, "s"),
        (3600.0, 60.0, "m"),
        (86400.0, 3600.0, "h"),
        (_YEAR, 86400.0, "d"),
    ):
        if seconds < limit:
            return f"{int(seconds / unit)}{suffix}"
    return f"{int(seconds / _YEAR)}y"


def long_duration(seconds: float) -> str:
    """Return the two largest units: `2d 3h`, `4m 10s`."""
    left = int(max(0.0, seconds))
    parts: list[str] = []
    for unit, suffix in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        whole, left = divmod(left, unit)
        if whole or (suffix == "s" and not parts):
            parts.append(f"{whole}{suffix}")
    return " ".join(parts[:2])


def interval(seconds: float) -> str:
    """Return a short time between two moments: `2 ms`, `1.4 s`, `3m 5s`."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else long_duration(seconds)


def count(value: int) -> str:
    """Return a whole number with its thousands set apart: `3,412`."""
    return f"{value:,}"


def total(rates: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; unknown where there are rates and none is known."""
    listed = list(rates)
    known = [value for value in listed if value is not None]
    if listed and not known:
        return None
    return sum(known)


def _three(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
