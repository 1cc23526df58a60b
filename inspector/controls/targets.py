"""Finds the container that a user means: the embedded engine's first, then anybody else's."""

from collections.abc import Awaitable, Callable, Sequence

from inspector.control import ActionFailed
from inspector.controls.actions import EMBEDDED, Target
from inspector.domains.containers.model import Container
from runtime.api import Runtime
from runtime.errors import NotFound, PermissionDenied

_SHORTEST_PREFIX = 3


async def find(
    engine: Runtime, reference: str, others: Callable[[], Awaitable[Sequence[Container]]]
) -> Target:
    """Return the container named by an id, a name, or the beginning of an id.

    `others` looks at the host, which takes a moment: it is asked only when the embedded engine
    has no such container. Raises `ActionFailed` when nobody has, or several fit.
    """
    try:
        return Target((await engine.container(reference)).id)
    except (NotFound, PermissionDenied) as failure:
        found = match(reference, await others())
        if not found:
            raise ActionFailed(
                f"no container {reference!r}, of this engine or another: see cinspect dump"
            ) from failure
    if len(found) > 1:
        fit = ", ".join(f"{each.id[:12]} ({each.engine or 'no engine'})" for each in found)
        raise ActionFailed(f"{reference!r} fits {len(found)} containers: {fit}")
    return Target(found[0].id, found[0])


def match(reference: str, containers: Sequence[Container]) -> list[Container]:
    """Return those that a reference fits best: whole ids, else names, else beginnings of ids."""
    wholes = [each for each in containers if each.id == reference]
    names = [each for each in containers if each.name == reference]
    if wholes or names or len(reference) < _SHORTEST_PREFIX:
        return wholes or names
    return [each for each in containers if each.id.startswith(reference)]


async def of(engine: Runtime, container: Container) -> Target:
    """Return a container of a frame as a target.

    One of an embedded engine with other directories than ours is anybody else's.
    """
    if container.engine == EMBEDDED:
        try:
            return Target((await engine.container(container.id)).id)
        except (NotFound, PermissionDenied):
            pass
    return Target(container.id, container)
