"""Events, as the dump and the event stream show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

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


def attributes(event: Event) -> Mapping[str, object]:
    """Return what Docker and Podman tell of whom an event is about, the labels among them.

    Source: Docker Engine API, `/events`, Actor.Attributes.
    """
    try:
        told = event.event["Actor"]["Attributes"]
    except (KeyError, TypeError):
        return {}
    return cast("Mapping[str, object]", told) if isinstance(told, Mapping) else {}


def said_name(event: Event) -> str | None:
    """Return how an event itself calls its container, as Docker's and Podman's do."""
    name = attributes(event).get("name") if event.container is not None else None
    return name if isinstance(name, str) else None
