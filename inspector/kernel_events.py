"""Events of the kernel's side: cgroups made, removed and limited, namespaces and mounts that came and went."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import UNSET

from collectors.kernel import cgroups
from inspector.domains.containers.model import Container
from inspector.domains.events.model import Event
from inspector.frame import Frame
from inspector.sample import Sample

KERNEL: Final = "kernel"
MOST: Final = 100
"""Events of one topic in one frame; of more, the number that is left out is told."""

Found = tuple[str, str | None, dict[str, object]]
"""Topic, container, body."""


def events(before: Frame | None, after: Frame, current: Sample) -> tuple[Event, ...]:
    """Return what happened between two frames, stamped with the later one.

    Topics: `cgroup-made`, `cgroup-removed`, `cgroup-written` as the kernel tells of them, also of
    what did not last until a frame; `limit`, `namespace-born`, `namespace-gone`, `mounted`,
    `unmounted` from the difference of the two.
    """
    containers = after.containers if after.containers is not UNSET else ()
    found: list[Found] = list(_cgroups(current, containers))
    if before is not None:
        found += _limits(before, after)
        found += _namespaces(before, after)
        found += _mounts(before, after)
    return tuple(_stamped(found, current))


def _stamped(found: list[Found], current: Sample) -> Iterator[Event]:
    count: dict[str, int] = {}
    for topic, container, body in found:
        count[topic] = count.get(topic, 0) + 1
        if count[topic] <= MOST:
            yield _event(current, topic, container, body)
    for topic, number in count.items():
        if number > MOST:
            yield _event(current, topic, None, {"left_out": number - MOST})


def _event(current: Sample, topic: str, container: str | None, body: dict[str, object]) -> Event:
    return Event(
        timestamp=current.taken_at,
        source=KERNEL,
        topic=topic,
        engine_namespace=None,
        container=container,
        event=body,
    )


def _cgroups(current: Sample, containers: tuple[Container, ...]) -> Iterator[Found]:
    """Yield each cgroup once, with the hierarchies that it was made in."""
    reading = current.get(cgroups.KEY)
    if reading is None or not reading.changes:
        return
    names = {
        one.mountpoint: ",".join(one.controllers) for one in reading.hierarchies if one.version == 1
    }
    owners = {path: one.id for one in containers for path in one.cgroups.values() if path != "/"}
    joined: dict[tuple[str, str, str | None], list[str]] = {}
    for change in reading.changes:
        key = (change.kind, change.path, change.file)
        joined.setdefault(key, []).append(names.get(change.mountpoint, ""))
    for (kind, path, file), hierarchies in joined.items():
        body: dict[str, object] = {"path": path, "hierarchies": sorted(set(hierarchies))}
        if file is not None:
            body["file"] = file
        yield f"cgroup-{kind}", _owner(owners, path), body


def _owner(owners: Mapping[str, str], path: str) -> str | None:
    while path not in {"", "/"}:
        if path in owners:
            return owners[path]
        path = path.rpartition("/")[0]
    return None


def _limits(before: Frame, after: Frame) -> Iterator[Found]:
    if before.containers is UNSET or after.containers is UNSET:
        return
    earlier = {(one.id, one.pid): _limits_of(one) for one in before.containers if one.resources}
    for one in after.containers:
        was = earlier.get((one.id, one.pid))
        if was is None or not one.resources:
            continue
        for name, (value, by) in _limits_of(one).items():
            if was[name][0] != value:
                yield (
                    "limit",
                    one.id,
                    {"what": name, "from": was[name][0], "to": value, "limited_by": by},
                )


def _limits_of(one: Container) -> dict[str, tuple[float | None, str | None]]:
    if one.resources is None:
        return {}
    cpu, memory, pids = one.resources.cpu, one.resources.memory, one.resources.pids
    none = (None, None)
    return {
        "cpu.limit_cores": (cpu.limit_cores, cpu.limited_by) if cpu else none,
        "memory.limit_bytes": (memory.limit_bytes, memory.limited_by) if memory else none,
        "memory.high_bytes": (memory.high_bytes, memory.high_limited_by) if memory else none,
        "pids.limit": (pids.limit, pids.limited_by) if pids else none,
    }


def _namespaces(before: Frame, after: Frame) -> Iterator[Found]:
    """Yield namespaces but those that came, or went, with a container: it is told of already."""
    if before.namespaces is UNSET or after.namespaces is UNSET:
        return
    earlier = {(one.type, one.inode): one for one in before.namespaces}
    later = {(one.type, one.inode): one for one in after.namespaces}
    lasting = _ids(before) & _ids(after)
    for topic, these, others in (
        ("namespace-gone", earlier, later),
        ("namespace-born", later, earlier),
    ):
        for key, one in these.items():
            if key not in others and (not one.containers or lasting.intersection(one.containers)):
                owner = one.containers[0] if len(one.containers) == 1 else None
                body: dict[str, object] = {"type": one.type, "inode": one.inode}
                yield topic, owner, body | {"processes": one.processes}


def _ids(frame: Frame) -> set[str]:
    return {one.id for one in frame.containers} if frame.containers is not UNSET else set()


def _mounts(before: Frame, after: Frame) -> Iterator[Found]:
    """Yield mounts of namespaces that are in both frames: a new one's all came with it."""
    if before.mounts is UNSET or after.mounts is UNSET:
        return
    earlier = {(one.namespace, one.mount_id): one for one in before.mounts}
    later = {(one.namespace, one.mount_id): one for one in after.mounts}
    lasting = {namespace for namespace, _ in earlier} & {namespace for namespace, _ in later}
    for topic, these, others in (("unmounted", earlier, later), ("mounted", later, earlier)):
        for key, one in these.items():
            if key not in others and key[0] in lasting:
                yield (
                    topic,
                    one.container,
                    {"mountpoint": one.mountpoint, "fstype": one.fstype, "source": one.source},
                )
