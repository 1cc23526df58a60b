"""Events, as the dump and the event stream show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct


class Account(Struct, frozen=True):
    """Another source's word on an event."""

    source: str
    topic: str
    timestamp: datetime


class Event(Struct, frozen=True, kw_only=True):
    """One event; topics of shims and of this engine are containerd's."""

    timestamp: datetime
    source: str
    """`cinspect`, `shim:ID`, `docker`, `kernel`…"""
    topic: str
    engine_namespace: str | None
    container: str | None
    event: Mapping[str, Any]
    monotonic_seconds: float | None = None
    """When it was, or where its source does not tell that, when it was heard of: of this boot's
    monotonic clock, which no setting of the clock moves."""
    seen_by: tuple[Account, ...] = ()
    """Who else told of the same."""
