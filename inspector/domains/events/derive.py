"""Events: what engines and shims tell, and what is seen to have changed between two samples."""

from collections.abc import Collection, Iterator, Mapping

from collectors.engine import EngineEvent
from inspector.domains.cgroups.model import Memory
from inspector.domains.containers.model import Container
from inspector.domains.events.model import Event
from inspector.sample import Sample

KERNEL = "kernel"


def told(current: Sample, containers: Collection[Container]) -> tuple[Event, ...]:
    """Return what the engines told since the sample before.

    A user's own engine can say anything: of a container that is not that user's, its word is of none.
    """
    tellers = {one.id: one.said_by for one in containers}
    return tuple(
        _event(event, tellers, answer.reading.said_by)
        for answer in current.engines
        if answer.reading is not None
        for event in answer.reading.events
    )


def observed(
    before: tuple[Container, ...], after: tuple[Container, ...], current: Sample
) -> tuple[Event, ...]:
    """Return what the kernel shows to have happened between two samples, stamped with the later one.

    Topics: `appeared`, `gone`, `frozen`, `thawed`, `oom`. Short lives between two samples are not
    seen; an engine's own events tell of those.
    """
    earlier, later = _running(before), _running(after)
    return tuple(
        Event(
            timestamp=current.taken_at,
            source=KERNEL,
            topic=topic,
            engine_namespace=container.engine_namespace,
            container=container.id,
            event=body,
        )
        for topic, container, body in _changes(earlier, later)
    )


def _running(containers: tuple[Container, ...]) -> dict[tuple[str, int | None], Container]:
    """Return those with a process, by id and first process: a restart is a new life."""
    return {(one.id, one.pid): one for one in containers if one.pid is not None}


def _changes(
    earlier: Mapping[tuple[str, int | None], Container],
    later: Mapping[tuple[str, int | None], Container],
) -> Iterator[tuple[str, Container, dict[str, object]]]:
    for key, container in earlier.items():
        if key not in later:
            yield "gone", container, {"name": container.name, "pid": container.pid}
    for key, container in later.items():
        before = earlier.get(key)
        if before is None:
            yield (
                "appeared",
                container,
                {
                    "name": container.name,
                    "pid": container.pid,
                    "engine": container.engine,
                    "evidence": list(container.evidence),
                },
            )
            continue
        yield from _transitions(before, container)


def _transitions(
    before: Container, after: Container
) -> Iterator[tuple[str, Container, dict[str, object]]]:
    if before.status != after.status and "paused" in {before.status, after.status}:
        topic = "frozen" if after.status == "paused" else "thawed"
        yield topic, after, {"name": after.name}
    old, new = _memory(before), _memory(after)
    if old is None or new is None or old.oom_kills is None or new.oom_kills is None:
        return
    if new.oom_kills > old.oom_kills:
        yield (
            "oom",
            after,
            {
                "name": after.name,
                "kills": new.oom_kills - old.oom_kills,
                "limit_bytes": new.limit_bytes,
                "limited_by": new.limited_by,
            },
        )


def _memory(container: Container) -> Memory | None:
    return container.resources.memory if container.resources else None


def _event(event: EngineEvent, tellers: Mapping[str, int | None], user: int | None) -> Event:
    # One that is not there any more, or not yet, is nobody's: then the engine is all that tells.
    another = user is not None and tellers.get(event.container or "", user) != user
    return Event(
        timestamp=event.timestamp,
        source=event.source,
        topic=event.topic,
        engine_namespace=event.engine_namespace,
        container=None if another else event.container,
        event=event.event,
    )
