"""Events of what the kernel told between two frames of mounts, and of version 1's want of memory."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from collectors.kernel.happened import HappenedReading, MountChange, Noticed
from inspector.domains.containers.model import Container
from inspector.domains.events import owners
from inspector.domains.events.model import Event

KERNEL: Final = "kernel"
LOST: Final = "events-lost"
"""The topic that says that some are not told."""
_QUIET_SECONDS: Final = 10.0
_MOST: Final = 100
"""Mounts of one namespace between two frames; of more, the number that is left out is told."""


class Heard:
    """Makes events of readings, one after the other."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._told: dict[tuple[str, str], float] = {}
        self._before: tuple[Container, ...] = ()

    def advance(
        self, heard: HappenedReading, containers: Iterable[Container], *, taken_at: datetime
    ) -> list[Event]:
        """Return the events of one reading; `containers` are the new frame's."""
        before, self._before = self._before, tuple(containers)
        found: list[Event] = []
        # What went away since the frame before was still whose it was then.
        if heard.mounts:
            spaces = _spaces(before) | _spaces(self._before)
            found += _mounts(heard.mounts, spaces, frozenset(one.id for one in self._before))
        if heard.memory:
            paths = owners.by_path(before) | owners.by_path(self._before)
            found += self._memory(heard.memory, paths)
        for what, number in (
            ("births and ends of processes", heard.lost),
            ("mounts and want of memory", heard.dropped),
        ):
            if number:
                body = {"what": what, "at_least": number}
                found.append(_event(taken_at.timestamp(), LOST, None, body))
        return found

    def _memory(
        self, notices: Iterable[tuple[float, Noticed]], paths: Mapping[str, str]
    ) -> Iterator[Event]:
        for at, one in notices:
            body: dict[str, object] = {"path": one.path, "count": one.times}
            if one.what == "oom":
                if not one.gone:
                    continue  # the cgroup's own count of kills tells, and whose the limit is
                topic = "oom"
                body = {"path": one.path, "kills": one.times, "gone": [one.path]}
            else:
                topic = "memory-near-limit" if one.what == "usage" else "memory-pressure"
                if one.threshold_bytes is not None:
                    body["threshold_bytes"] = one.threshold_bytes
                before = self._told.get((topic, one.path))
                if before is not None and at - before < _QUIET_SECONDS:
                    continue
                self._told[topic, one.path] = at
            yield _event(at, topic, owners.of_path(paths, one.path), body)
        if len(self._told) > 4096:
            self._told.clear()


def _mounts(
    changes: Iterable[tuple[float, MountChange]],
    spaces: Mapping[int, str],
    ids: Collection[str],
) -> Iterator[Event]:
    """Yield mounts: in a container's namespace, or of one, as its directory's name tells."""
    count: dict[int, int] = {}
    at = 0.0
    for at, one in changes:
        count[one.namespace] = count.get(one.namespace, 0) + 1
        if count[one.namespace] > _MOST:
            continue
        mount = one.mount
        body: dict[str, object] = {
            "mountpoint": mount.mountpoint,
            "fstype": mount.fstype,
            "source": mount.source,
            "namespace": one.namespace,
        }
        if one.what == "remounted":
            body["options"] = ",".join(mount.options)
        owner = spaces.get(one.namespace)
        if owner is None:
            owner = next((part for part in mount.mountpoint.split("/") if part in ids), None)
        yield _event(at, one.what, owner, body)
    for namespace, number in count.items():
        if number > _MOST:
            left = {"namespace": namespace, "left_out": number - _MOST}
            yield _event(at, "mounted", spaces.get(namespace), left)


def _spaces(containers: Iterable[Container]) -> dict[int, str]:
    """Return whose each mount namespace is; of one that is shared, the first's."""
    found: dict[int, str] = {}
    for one in containers:
        inode = one.namespaces.get("mnt")
        if inode is not None and "mnt" not in one.shared_with_host:
            found.setdefault(inode, one.id)
    return found


def _event(at: float, topic: str, container: str | None, body: Mapping[str, object]) -> Event:
    return Event(
        timestamp=datetime.fromtimestamp(at, UTC),
        source=KERNEL,
        topic=topic,
        engine_namespace=None,
        container=container,
        event=body,
    )
