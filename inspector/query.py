"""What `--filter` says: `key=value` and `key!=value`, or words that must, or must not, be in it."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from inspector.domains.events.model import Event, family
from inspector.errors import WrongUsage
from inspector.output import events as lines

KEYS: Final = ("source", "topic", "container", "namespace")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Of one key, any value will do; every key, and every word, must fit, and nothing unwanted."""

    values: dict[str, tuple[str, ...]]
    words: tuple[str, ...]
    unwanted: dict[str, tuple[str, ...]]
    unwanted_words: tuple[str, ...]

    def matches(self, event: Event) -> bool:
        """Return whether the event is wanted."""
        wanted, unwanted = self.values.items(), self.unwanted.items()
        if not all(_any(event, key, values, accounts=True) for key, values in wanted):
            return False
        # Docker's word that the kernel saw too is still there for who does not want the kernel's.
        if any(_any(event, key, values, accounts=False) for key, values in unwanted):
            return False
        if not self.words and not self.unwanted_words:
            return True
        whole = lines.line(event).casefold()
        return all(word in whole for word in self.words) and not any(
            word in whole for word in self.unwanted_words
        )


def event_filter(terms: Iterable[str]) -> EventFilter:
    """Parse the terms; raise `WrongUsage` for a key that there is not, and for an empty word."""
    made = EventFilter({}, (), {}, ())
    words: list[str] = []
    unwanted_words: list[str] = []
    for term in terms:
        key, equals, value = term.partition("=")
        if not equals:
            listed, word = (unwanted_words, term[1:]) if term.startswith("!") else (words, term)
            if not word:
                raise WrongUsage(f"--filter {term!r}: there is no word")
            listed.append(word.casefold())
            continue
        values = made.unwanted if key.endswith("!") else made.values
        key = key.removesuffix("!")
        if key not in KEYS:
            raise WrongUsage(f"--filter {term}: {key!r} is none of {', '.join(KEYS)}")
        values[key] = (*values.get(key, ()), value)
    return EventFilter(made.values, tuple(words), made.unwanted, tuple(unwanted_words))


def _any(event: Event, key: str, values: tuple[str, ...], *, accounts: bool) -> bool:
    """Return whether any value fits; with `accounts` that of another source will do."""
    if key == "container":
        return any(_is_container(event, value) for value in values)
    others = event.seen_by if accounts else ()
    if key == "source":
        # What a shim tells is of `shim 1234`: its kind alone names all of them.
        sources = [event.source, *(one.source for one in others)]
        told = [*sources, *map(family, sources)]
    elif key == "topic":
        told = [event.topic, *(one.topic for one in others)]
    else:
        told = [event.engine_namespace or ""]
    return any(one == value or fnmatch.fnmatchcase(one, value) for value in values for one in told)


def _is_container(event: Event, value: str) -> bool:
    if event.container is not None and value and event.container.startswith(value):
        return True
    for name in (event.container_name, event.event.get("name")):
        if isinstance(name, str) and (name == value or fnmatch.fnmatchcase(name, value)):
            return True
    return False
