"""Decodes what engines write: JSON, and points in time."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(data: bytes, kind: type[T]) -> T:
    """Return JSON as a type; raise `msgspec.DecodeError` on any other, however deep it nests."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise msgspec.DecodeError("it nests too deep") from None


def moment(text: str | None) -> datetime | None:
    """Return an RFC 3339 time in UTC; the year 1 that stands for "never", and nonsense, are None."""
    if not text or text.startswith("0001-"):
        return None
    try:
        return msgspec.convert(text, datetime).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


def instant(seconds: float) -> datetime | None:
    """Return a time from seconds since the epoch; None where no date is that far away."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
