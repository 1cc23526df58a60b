"""Hears what is done to cgroups' directories from user space: inotify(7), which cgroupfs tells of that alone."""

from collections.abc import Iterator
from typing import NamedTuple

from collectors import inotify
from collectors.cgroupfs.records import Change
from collectors.root import Root
from runtime.formats import text

_MOST_CHANGES = 500
"""So many are told of in one frame."""
_TOLD_BY_THE_KERNEL = frozenset(
    {"cgroup.events", "memory.events", "memory.events.local", "pids.events", "pids.events.local"}
)
"""Files that the kernel itself says have changed: what they count is seen in the cgroup's record."""
_LISTENED = "cgroup.event_control"
"""Who writes to it asks to be told of something, as this program does: that changes nothing."""

Key = tuple[str, str]
"""A cgroup: its hierarchy's mountpoint and its path."""


class Heard(NamedTuple):
    """Something that happened in a cgroup's directory; of no cgroup where some of it is lost."""

    key: Key | None
    kind: str
    """`made`, `removed` of one below, `written` of a file."""
    name: str


class Listener:
    """Watches cgroups' directories, and notes what was done to them."""

    def __init__(self, root: Root) -> None:
        """Raise OSError where there can be no (further) instance of inotify."""
        self._root = root
        self._watches = inotify.Watches()
        self._keys: dict[int, Key] = {}
        self._changes: dict[Change, None] = {}

    def changes(self) -> tuple[Change, ...]:
        """Return what was last heard, each at its last time; of many, the first."""
        return tuple(self._changes)

    def add(self, key: Key) -> int:
        """Watch a cgroup; -1 where it cannot be."""
        try:
            watch = self._watches.add(self._root.resolve("".join(key)))
        except OSError:
            return -1
        self._keys[watch] = key
        return watch

    def remove(self, watch: int) -> None:
        """Watch it no more."""
        self._keys.pop(watch, None)
        self._watches.remove(watch)

    def heard(self) -> Iterator[Heard]:
        """Yield what happened since the last time."""
        self._changes = {}
        for happened in self._watches.happened():
            if happened.mask & inotify.OVERFLOW:
                yield Heard(None, "", "")
                continue
            key = self._keys.get(happened.watch)
            if key is None or happened.name == _LISTENED:
                continue
            kind = "written"
            if happened.mask & (inotify.CREATE | inotify.DELETE):
                kind = "made" if happened.mask & inotify.CREATE else "removed"
            heard = Heard(key, kind, happened.name)
            self._note(heard, *key)
            yield heard

    def _note(self, heard: Heard, mountpoint: str, path: str) -> None:
        if len(self._changes) >= _MOST_CHANGES or heard.name in _TOLD_BY_THE_KERNEL:
            return
        name, path = text.clean(heard.name), text.clean(path)
        if heard.kind == "made":
            change = Change("made", mountpoint, f"{path.rstrip('/')}/{name}")
        elif heard.kind == "removed":
            change = Change("removed", mountpoint, f"{path.rstrip('/')}/{name}")
        else:
            change = Change("written", mountpoint, path, name)
        self._changes.pop(change, None)
        self._changes[change] = None
