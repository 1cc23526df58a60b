"""What `--filter` says: `key=value` pairs, or words that must be somewhere in it."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from inspector.domains.events.model import Event
from inspector.errors import WrongUsage
from inspector.output import events as lines

KEYS: Final = ("source", "topic", "container", "namespace")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Of one key, any value will do; every key, and every word, must fit."""

    values: dict[str, tuple[str, ...]]
    words: tuple[str, ...]

    def matches(self, event: Event) -> bool:
        """Return whether the event is wanted."""
        if not all(_any(event, key, values) for key, values in self.values.items()):
            return False
        if not self.words:
            return True
        whole = lines.line(event).casefold()
        return all(word in whole for word in self.words)


def event_filter(terms: Iterable[str]) -> EventFilter:
    """Parse the terms; raise `WrongUsage` for a key that there is not."""
    values: dict[str, tuple[str, ...]] = {}
    words: list[str] = []
    for term in terms:
        key, equals, value = term.partition("=")
        if not equals:
            words.append(term.casefold())
        elif key in KEYS:
            values[key] = (*values.get(key, ()), value)
        else:
            raise WrongUsage(f"--filter {term}: {key!r} is none of {', '.join(KEYS)}")
    return EventFilter(values, tuple(words))


def _any(event: Event, key: str, values: tuple[str, ...]) -> bool:
    if key == "container":
        return any(_is_container(event, value) for value in values)
    told = {
        "source": event.source,
        "topic": event.topic,
        "namespace": event.engine_namespace or "",
    }[key]
    return any(told == value or fnmatch.fnmatchcase(told, value) for value in values)


def _is_container(event: Event, value: str) -> bool:
    if event.container is not None and value and event.container.startswith(value):
        return True
    name = event.event.get("name")
    return isinstance(name, str) and name == value
