"""Events of the kernel's side: cgroups made, removed and limited, namespaces and mounts that came and went."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from msgspec import UNSET

from collectors.kernel import cgroups, happened, namespaces
from inspector.domains.containers.model import Container, Resources
from inspector.domains.events import owners
from inspector.domains.events.counters import Counters
from inspector.domains.events.heard import Heard
from inspector.domains.events.model import Event
from inspector.domains.events.processes import Attribution
from inspector.frame import Frame
from inspector.sample import Sample

KERNEL: Final = "kernel"
UNIFIED: Final = "unified"
"""How the hierarchy of cgroup v2 is called beside those of v1, which are their controllers."""
MOST: Final = 100
"""Events of one topic in one frame; of more, the number that is left out is told."""

Found = tuple[str, str | None, dict[str, object]]
"""Topic, container, body."""


class KernelEvents:
    """Makes events of frames and samples, one after the other.

    Topics: `cgroup-made`, `cgroup-removed`, `cgroup-written` as the kernel tells of them, also of
    what did not last until a frame; so `mounted`, `unmounted`, `remounted` and the processes' where
    it is listened to; `limit`, `namespace-born`, `namespace-gone`, and the counters' (`Counters`)
    from the difference of the two.
    """

    def __init__(self, frame: Frame, sample: Sample) -> None:
        """Begin with a frame and its sample; what follows is compared with them."""
        self._known = owners.Known()
        self._counters = Counters(self._known)
        self._attribution = Attribution(self._known)
        self._heard = Heard()
        self._before, self._sample = frame, sample
        self._watched(sample, _containers(frame), ())

    def advance(
        self, after: Frame, current: Sample, told: Iterable[Event] = ()
    ) -> tuple[Event, ...]:
        """Return what happened since the last frame; `told` is what engines said meanwhile."""
        before, self._before = self._before, after
        earlier, self._sample = self._sample, current
        containers = _containers(after)
        heard = current.get(happened.KEY)
        watched = heard.watched if heard is not None else frozenset[int]()
        found: list[Found] = [
            *_cgroups(current, containers, self._known),
            *_limits(before, after),
            *_namespaces(before, after, earlier, current),
            *_mounts(before, after, watched),
        ]
        counted, events = self._watched(current, containers, told)
        return (*_stamped([*found, *counted], current), *events)

    def _watched(
        self, sample: Sample, containers: tuple[Container, ...], told: Iterable[Event]
    ) -> tuple[list[Found], list[Event]]:
        heard = sample.get(happened.KEY)
        events = self._attribution.advance(heard, containers, told)
        if heard is not None:
            events += self._heard.advance(heard, containers, taken_at=sample.taken_at)
        return self._counters.advance(sample, containers), events


def _containers(frame: Frame) -> tuple[Container, ...]:
    return frame.containers if frame.containers is not UNSET else ()


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


def _cgroups(
    current: Sample, containers: tuple[Container, ...], known: owners.Known
) -> Iterator[Found]:
    """Yield each cgroup once, with the hierarchies that it was made in; one above comes first, and goes last."""
    reading = current.get(cgroups.KEY)
    if reading is None or not reading.changes:
        return
    names = {
        one.mountpoint: ",".join(one.controllers) if one.version == 1 else UNIFIED
        for one in reading.hierarchies
    }
    own = known.by_path(containers)
    joined: dict[tuple[str, str, str | None], list[str]] = {}
    for change in reading.changes:
        key = (change.kind, change.path, change.file)
        hierarchies = joined.setdefault(key, [])
        hierarchies.append(names.get(change.mountpoint, change.mountpoint))
        if change.kind == "removed":  # it is gone with the last of them, after those below it
            joined[key] = joined.pop(key)
    for (kind, path, file), hierarchies in joined.items():
        body: dict[str, object] = {"path": path, "hierarchies": sorted(set(hierarchies))}
        if file is not None:
            body["file"] = file
        yield f"cgroup-{kind}", owners.of_path(own, path), body


def _limits(before: Frame, after: Frame) -> Iterator[Found]:
    if before.containers is UNSET or after.containers is UNSET:
        return
    earlier = {(one.id, one.pid): one.resources for one in before.containers}
    for one in after.containers:
        then, now = earlier.get((one.id, one.pid)), one.resources
        if then is None or now is None or _same(then, now):
            continue
        was = _limits_of(then)
        for name, (value, by) in _limits_of(now).items():
            if was[name][0] != value:
                yield (
                    "limit",
                    one.id,
                    {"what": name, "from": was[name][0], "to": value, "limited_by": by},
                )


def _same(one: Resources, other: Resources) -> bool:
    """Return whether these are what was derived for the frame before."""
    return one.cpu is other.cpu and one.memory is other.memory and one.pids is other.pids


def _limits_of(resources: Resources) -> dict[str, tuple[float | None, str | None]]:
    cpu, memory, pids = resources.cpu, resources.memory, resources.pids
    none = (None, None)
    return {
        "cpu.limit_cores": (cpu.limit_cores, cpu.limited_by) if cpu else none,
        "memory.limit_bytes": (memory.limit_bytes, memory.limited_by) if memory else none,
        "memory.high_bytes": (memory.high_bytes, memory.high_limited_by) if memory else none,
        "pids.limit": (pids.limit, pids.limited_by) if pids else none,
    }


def _namespaces(before: Frame, after: Frame, earlier: Sample, current: Sample) -> Iterator[Found]:
    """Yield namespaces but those that came, or went, with a container: it is told of already."""
    was, now = earlier.get(namespaces.KEY), current.get(namespaces.KEY)
    if was is None or now is None or was.namespaces is now.namespaces:
        return
    old, new = _types(was), _types(now)
    if old.keys() == new.keys():
        return
    lasting = _running(before) & _running(after)
    for topic, these, others, frame, sample in (
        ("namespace-gone", old, new, before, earlier),
        ("namespace-born", new, old, after, current),
    ):
        differing = these.keys() - others.keys()
        if not differing:
            continue
        members = _members(sample, differing)
        whose = _owners(frame)
        for inode in these:
            if inode not in differing:
                continue
            containers = {whose[pid] for pid in members[inode] if pid in whose}
            if not containers or containers & lasting:
                owner = containers.pop() if len(containers) == 1 else None
                body: dict[str, object] = {"type": these[inode], "inode": inode}
                yield topic, owner, body | {"processes": len(members[inode])}


def _types(reading: namespaces.NamespacesReading) -> dict[int, str]:
    return {one.inode: one.type for one in reading.namespaces}


def _members(sample: Sample, wanted: Collection[int]) -> dict[int, list[int]]:
    """Return the pids in each of some namespaces."""
    found: dict[int, list[int]] = {inode: [] for inode in wanted}
    reading = sample.get(namespaces.KEY)
    for one in reading.memberships if reading is not None else ():
        for inode in one.inodes:
            if inode in found:
                found[inode].append(one.pid)
    return found


def _owners(frame: Frame) -> dict[int, str]:
    if frame.containers is UNSET:
        return {}
    return {pid: one.id for one in frame.containers for pid in one.pids}


def _running(frame: Frame) -> set[str]:
    return {one.id for one in _containers(frame) if one.pid is not None}


def _mounts(before: Frame, after: Frame, watched: Collection[int]) -> Iterator[Found]:
    """Yield mounts of namespaces that are in both frames: a new one's all came with it.

    Those that are watched told of their changes themselves.
    """
    if before.mounts is UNSET or after.mounts is UNSET or before.mounts is after.mounts:
        return
    lasting = {one.namespace for one in before.mounts} & {one.namespace for one in after.mounts}
    # A mount about which nothing is new is the same row in both.
    old, new = set(map(id, before.mounts)), set(map(id, after.mounts))
    earlier = {(one.namespace, one.mount_id): one for one in before.mounts if id(one) not in new}
    later = {(one.namespace, one.mount_id): one for one in after.mounts if id(one) not in old}
    for topic, these, others in (("unmounted", earlier, later), ("mounted", later, earlier)):
        for key, one in these.items():
            if key not in others and key[0] in lasting and key[0] not in watched:
                yield (
                    topic,
                    one.container,
                    {"mountpoint": one.mountpoint, "fstype": one.fstype, "source": one.source},
                )
