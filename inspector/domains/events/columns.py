"""Columns of events, and one line of text for an event's body."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from inspector.columns import Column
from inspector.domains.events.model import Event, attributes

_SKIPPED: Final = frozenset({"container_id", "id", "container", "containerID"})
_BY_TOPIC: Final = frozenset({"status", "Type", "Action", "scope", "from"})
"""Of an event of Docker's API: what its topic has said already, or is the same for all."""


def summary(event: Event) -> str:
    """Return the body as `key value · key value`, nested ones cut short."""
    return " · ".join(
        f"{key} {_short(value)}".strip()
        for key, value in _details(event).items()
        if key not in _SKIPPED and value not in (None, "", (), [], {})
    )


def _details(event: Event) -> Mapping[str, object]:
    """Return the body, or of an event of Docker's API its attributes, which the topic does not say.

    A container's labels are among them, most of them with a dot in their name: they tell of the
    container and not of what happened.
    """
    told = attributes(event)
    if not told:
        return event.event
    own = {key: one for key, one in told.items() if "." not in key and key != "name"}
    rest = event.event.items()
    return own | {key: one for key, one in rest if key not in _BY_TOPIC and key != "Actor"}


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
