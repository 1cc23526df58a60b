"""Engines: which were looked for, which answer, what each says of itself."""

from inspector.domains.engines.model import Engine
from inspector.sample import Sample


def derive(current: Sample) -> tuple[Engine, ...]:
    """Return every engine that was asked, in the order of the registry."""
    return tuple(
        Engine(
            name=answer.name,
            version=answer.reading.version if answer.reading else None,
            address=(answer.reading.address if answer.reading else None) or answer.address,
            reachable=answer.reading is not None,
            error=answer.error,
            containers=len(answer.reading.containers) if answer.reading else 0,
        )
        for answer in current.engines
    )
