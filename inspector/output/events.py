"""Events as lines, for people: when, who says it, what, of which container, and its body."""

from datetime import UTC
from typing import Final

from inspector.domains.events.model import Event
from inspector.output import json, text

_WIDTHS: Final = (12, 20, 14)


def line(event: Event) -> str:
    """Return one line without its end; no control character of a container's is in it."""
    moment = event.timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    whose = event.container_name or (event.container or "–")[:12]  # noqa: RUF001 - "none"
    parts = [
        text.printable(part).ljust(width)
        for part, width in zip((event.source, event.topic, whose), _WIDTHS, strict=True)
    ]
    body = json.encode(event.event).decode().rstrip("\n")
    others = sorted({f"{one.source} {one.topic}" for one in event.seen_by})
    also = f"  (also: {', '.join(others)})" if others else ""
    return "  ".join((moment, *parts, text.printable(body + also)))
