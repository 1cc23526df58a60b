"""Reads points in time as engines write them."""

from datetime import UTC, datetime

import msgspec


def moment(text: str | None) -> datetime | None:
    """Return an RFC 3339 time in UTC; the year 1 that stands for "never", and nonsense, are None."""
    if not text or text.startswith("0001-"):
        return None
    try:
        return msgspec.convert(text, datetime).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None
