"""Events, as the dump and the event stream show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
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
    """`cinspect`, `shim 1234`, `docker`, `kernel`…"""
    topic: str
    engine_namespace: str | None
    container: str | None
    event: Mapping[str, Any]
    container_name: str | None = None
    """As it was called then, where that is known."""
    monotonic_seconds: float | None = None
    """When it was, or where its source does not tell that, when it was heard of: of this boot's
    monotonic clock, which no setting of the clock moves."""
    seen_by: tuple[Account, ...] = ()
    """Who else told of the same."""


Identity = tuple[object, ...]


def identity(event: Event) -> Identity:
    """Return what tells an account from others, however often it is told."""
    try:
        # As JSON, so that it is the same when it was written and read again.
        body: object = msgspec.json.encode(event.event)
    except (UnicodeEncodeError, TypeError):
        body = repr(event.event)
    return (event.timestamp, event.source, event.topic, event.container, body)


def family(source: str) -> str:
    """Return the kind of a source: `shim` of `shim 1234`, `docker` of `docker:1000`."""
    return source.replace(":", " ").partition(" ")[0]


def said_name(event: Event) -> str | None:
    """Return how an event itself calls its container, as Docker's and Podman's do."""
    if event.container is None:
        return None
    try:
        name = event.event["Actor"]["Attributes"]["name"]
    except (KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None
