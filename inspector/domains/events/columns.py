"""Columns of events, and one line of text for an event's body."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from inspector.columns import Column
from inspector.domains.events.model import Event

_SKIPPED: Final = frozenset({"container_id", "id", "container"})


def summary(event: Event) -> str:
    """Return the body as `key value · key value`, nested ones cut short."""
    return " · ".join(
        f"{key} {_short(value)}".strip()
        for key, value in event.event.items()
        if key not in _SKIPPED and value not in (None, "", (), [], {})
    )


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(map(str, cast("Mapping[str, object]", value))) + "}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, cast("Sequence[object]", value)))
    return str(value)


TIME: Final = Column[Event](
    "timestamp",
    "TIME",
    lambda e: e.timestamp.timestamp(),
    lambda e: e.timestamp.strftime("%H:%M:%S.%f")[:-3],
    unit="seconds",
    width=12,
)
SOURCE: Final = Column[Event]("source", "SOURCE", lambda e: e.source, width=12)
TOPIC: Final = Column[Event]("topic", "TOPIC", lambda e: e.topic, width=20)
CONTAINER: Final = Column[Event]("container", "CONTAINER", lambda e: e.container, width=16)
WHAT: Final = Column[Event]("event", "WHAT", lambda e: summary(e) or None, width=30)

COLUMNS: Final[tuple[Column[Event], ...]] = (TIME, SOURCE, TOPIC, CONTAINER, WHAT)
