"""Walks a hierarchy's cgroups, again and again: reads those in which something happened."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from collectors.cgroupfs import depth, v1, v2
from collectors.cgroupfs.group import Group, is_handed_down
from collectors.cgroupfs.records import Activity, Cgroup, Change, Depth, Hierarchy
from collectors.errors import CollectError, Gone, Missing, Problems
from collectors.kept import File, Kept
from collectors.root import Root
from runtime.formats import text

if TYPE_CHECKING:
    from collectors.inotify import Happened, Watches

TURN = 10
"""Frames after which a cgroup is read again in which nothing seems to have happened."""
RULES = 20
"""Frames after which its limits are read again where no write to them was seen."""
WARM = 40
"""Frames after which a cgroup in which no process ran any more is believed to be at rest: what it has
written has reached its devices by then (vm.dirty_expire_centisecs)."""
REST = 100
"""Frames after which one at rest is read again in full."""
_CHANGES = 500
"""So many changes are told of in one frame."""
_TOLD_BY_THE_KERNEL = frozenset(
    {"cgroup.events", "memory.events", "memory.events.local", "pids.events", "pids.events.local"}
)
"""Files that the kernel itself says have changed: what they count is seen in the cgroup's record."""
_LISTENED = "cgroup.event_control"
"""Who writes to it asks to be told of something, as this program does: that changes nothing."""
_PULSES = (
    "cpu.stat",
    "cpuacct.usage",
    "memory.current",
    "memory.usage_in_bytes",
    "pids.current",
    "freezer.state",
    "io.stat",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)
"""What is read of every cgroup in every frame: while these say the same, nothing ran and nothing grew."""
_GROWING = (
    "memory.current",
    "memory.usage_in_bytes",
    "io.stat",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
)
"""Those that the kernel changes also while no process of the cgroup runs: it writes back, and takes away."""


class _Known:
    """One cgroup as it was last read."""

    __slots__ = (
        "depth",
        "falling",
        "files",
        "group",
        "pulse",
        "pulses",
        "record",
        "relist",
        "reread",
        "seen",
        "stirred",
        "touched",
        "watch",
    )

    def __init__(self, group: Group) -> None:
        self.group = group
        self.record: Cgroup | None = None
        self.depth: tuple[Cgroup | None, Depth] | None = None
        """What was read besides, when the record was this one."""
        self.pulse: tuple[bytes, ...] = ()
        self.files: list[str] = []
        """Those that are its pulse."""
        self.pulses: list[File] = []
        self.falling = 0
        """As `v2.falling` says."""
        self.reread = False
        """Whether its files were read again since its depth was: it may differ though the record does not."""
        self.touched = False
        """Whether a rule of it was written since."""
        self.relist = False
        """Whether cgroups were made or removed below it since."""
        self.watch = -1
        """inotify's; -1 where it could not be watched, and is listed each time."""
        self.seen = 0
        self.stirred = 0
        """The last frame before which something ran in it."""


class Walker:
    """Walks cgroups, in one frame after the other.

    A cgroup's directory is watched by inotify(7), which tells of every write from user space: new
    limits, processes that are moved, cgroups made and removed. So a steady frame lists no directory.
    Of each cgroup only its pulse is read (`_PULSES`). The counters are read where that changed or
    where pressure has not decayed, else every `TURN`th frame; limits where one was written, else
    every `RULES`th frame. A cgroup that could not be watched is listed in each frame.

    Where it is known in which cgroups processes ran, of one in which none did only that is read
    which grows nevertheless, and after `WARM` frames that too every `TURN`th frame only, the counters
    every `REST`th; its pressure, as long as there is any, as fast as it falls (`v2.FALLING`). One that
    has others below it keeps its turn: of them it counts also those that are removed, and dying.
    """

    def __init__(self, root: Root, kept: Kept | None = None) -> None:
        self._root = root
        self._kept = kept or Kept(root)
        self._known: dict[tuple[str, str], _Known] = {}
        """By mountpoint and path."""
        self._by_watch: dict[int, tuple[str, str]] = {}
        self._watches: Watches | None = None
        self._frame = 0
        self._activity: Activity | None = None
        self._changes: dict[Change, None] = {}

    def changes(self) -> tuple[Change, ...]:
        """Return what was done to cgroups since the frame before, each at its last time; of many, the first."""
        return tuple(self._changes)

    def begin(self, activity: Activity | None = None) -> None:
        """Begin a frame: hear what was written since the one before."""
        self._frame += 1
        self._activity = activity
        self._changes = {}
        self._kept.renew()
        if self._frame == 2 and self._root.live:
            from collectors import inotify  # noqa: PLC0415 - a single frame needs none

            with contextlib.suppress(OSError):
                self._watches = inotify.Watches()
        if self._watches is not None:
            self._hear(self._watches)

    def end(self) -> None:
        """End a frame: forget the cgroups that it did not meet."""
        for key in [key for key, known in self._known.items() if known.seen != self._frame]:
            self._forget(key)

    def walk(self, hierarchy: Hierarchy, problems: Problems) -> Iterator[Cgroup]:
        """Yield a hierarchy's cgroups, each before those below it."""
        pending = ["/"]
        while pending:
            path = pending.pop()
            try:
                record, children = self._read(hierarchy, path, problems)
            except (Missing, Gone):
                self._forget((hierarchy.mountpoint, path))
                continue
            except CollectError as error:
                problems.failed(error)
                continue
            yield record
            below = path.rstrip("/")
            pending.extend(f"{below}/{child}" for child in reversed(children))

    def _read(
        self, hierarchy: Hierarchy, path: str, problems: Problems
    ) -> tuple[Cgroup, Sequence[str]]:
        """Return a cgroup's record, and the names of those below it."""
        known = self._listed(hierarchy, path, problems)
        try:
            return self._record(known, hierarchy, problems), known.group.memory.children
        finally:
            known.group.close()

    def depths(self, problems: Problems, *, numa: bool) -> dict[tuple[str, str], Depth]:
        """Return what the cgroups of this frame say besides, by hierarchy and path.

        It is read again where the record was; only to be asked after the walk.
        """
        found: dict[tuple[str, str], Depth] = {}
        for known in self._known.values():
            record = known.record
            if record is None:
                continue
            try:
                said = self._depth(known, record, problems, numa=numa)
            except (Missing, Gone):
                continue
            except CollectError as error:
                problems.failed(error)
                continue
            found[record.hierarchy, record.path] = said
        return found

    def _depth(self, known: _Known, record: Cgroup, problems: Problems, *, numa: bool) -> Depth:
        """Return what one says besides: the object of before where that is the same."""
        before = known.depth
        if before is not None and before[0] is record and not known.reread:
            return before[1]
        known.group.again(problems, self._kept, everything=before is None)
        said = depth.read(known.group, numa=numa)
        if before is not None and before[1] == said:
            said = before[1]
        known.depth, known.reread = (record, said), False
        return said

    def _listed(self, hierarchy: Hierarchy, path: str, problems: Problems) -> _Known:
        """Return what is known of a cgroup, with those below it as they are now."""
        key = (hierarchy.mountpoint, path)
        known = self._known.get(key)
        if known is None or known.watch < 0 or known.relist:
            watch = self._watch(known, hierarchy, key)  # before listing: what comes later is told
            group = Group.open(self._root, hierarchy, path, problems)
            if known is not None and known.group.inode == group.inode:
                known.group.memory.files = group.memory.files
                known.group.memory.children = group.memory.children
                known.pulses = []
                group.close()
            else:
                self._drop(known)
                known = self._known[key] = _Known(group)
            known.watch, known.relist = watch, False
        known.seen = self._frame
        return known

    def _record(self, known: _Known, hierarchy: Hierarchy, problems: Problems) -> Cgroup:
        """Return a cgroup's record: the one of before where nothing happened in it."""
        group = known.group
        if self._frame == 1:
            known.record = _reader(hierarchy)(group)
            return known.record
        before = known.record
        quiet, differs = self._happened(hierarchy, before)
        if not quiet and self._activity is not None:
            known.stirred = self._frame
        rested = quiet and self._frame - known.stirred > WARM
        alone = rested and known.watch >= 0 and not group.memory.children
        rules = before is None or known.touched or self._turn(known, 2 * REST if alone else RULES)
        due = rules or differs or not known.pulse or self._turn(known, REST if alone else TURN)
        due = due or (known.falling > 0 and not quiet)
        if before is not None and rested and not due and not self._turn(known, TURN):
            return self._eased(known, before, problems)
        pulse = self._pulse(known, quiet=quiet and not due)
        if before is not None and not due and pulse == known.pulse:
            return self._eased(known, before, problems)
        group.again(problems, self._kept, everything=rules)
        group.memory.bytes = dict(zip(known.files, pulse, strict=True)) if pulse else {}
        record = _reader(hierarchy)(group)
        record = before if before is not None and before == record else record
        group.memory.bytes = {}
        known.record, known.pulse, known.touched, known.reread = record, pulse, False, True
        known.falling = v2.falling(record)
        return record

    def _eased(self, known: _Known, record: Cgroup, problems: Problems) -> Cgroup:
        """Return a record of before, with pressure as it is now where its fall is due to be read."""
        if not known.falling or not self._turn(known, known.falling):
            return record
        known.group.again(problems, self._kept, everything=False)
        eased = structs.replace(record, pressure=v2.fallen(known.group, record))
        if eased == record:
            return record
        if known.depth is not None and known.depth[0] is record:
            known.depth = (eased, known.depth[1])
        known.record, known.falling = eased, v2.falling(eased)
        return eased

    def _happened(self, hierarchy: Hierarchy, record: Cgroup | None) -> tuple[bool, bool]:
        """Return whether no process of it ran, came or went, and whether it has more or fewer of them.

        Where that is not known neither is so.
        """
        # With another root processes tell other paths than these.
        if record is None or self._activity is None or hierarchy.root != "/":
            return False, False
        name = (frozenset(() if hierarchy.version == 2 else hierarchy.controllers), record.path)
        quiet = self._activity.is_quiet(name, record.processes)
        return quiet, not quiet and self._activity.differs(name, record.processes)

    def _pulse(self, known: _Known, *, quiet: bool) -> tuple[bytes, ...]:
        """Return what tells that something happened; empty where it could not be read."""
        memory = known.group.memory
        if not known.pulses:
            known.files = [
                file
                for file in _PULSES
                if file in memory.files and f"{file}_recursive" not in memory.files
            ] or ["cgroup.procs"]
            known.pulses = [memory.handle(file) for file in known.files]
        try:
            if quiet:
                was = zip(known.files, known.pulses, known.pulse, strict=True)
                return tuple(
                    [self._kept.read(file) if name in _GROWING else old for name, file, old in was]
                )
            return tuple([self._kept.read(file) for file in known.pulses])
        except (Missing, Gone):
            known.group.check_alive()
        except CollectError:
            pass  # the whole reading tells
        return ()

    def _turn(self, known: _Known, frames: int) -> bool:
        return (self._frame + known.group.inode) % frames == 0

    def _watch(self, known: _Known | None, hierarchy: Hierarchy, key: tuple[str, str]) -> int:
        if known is not None and known.watch >= 0:
            return known.watch
        if self._watches is None:
            return -1
        try:
            watch = self._watches.add(self._root.resolve(hierarchy.mountpoint + key[1]))
        except OSError:
            return -1
        self._by_watch[watch] = key
        return watch

    def _hear(self, watches: "Watches") -> None:
        from collectors import inotify  # noqa: PLC0415 - as above

        for happened in watches.happened():
            if happened.mask & inotify.OVERFLOW:
                for one in self._known.values():
                    one.relist = one.touched = True
                continue
            key = self._by_watch.get(happened.watch)
            known = self._known.get(key) if key is not None else None
            if key is None or known is None or happened.name == _LISTENED:
                continue
            self._note(happened, *key)
            if happened.mask & (inotify.CREATE | inotify.DELETE):
                known.relist = True
                if happened.mask & inotify.DELETE:
                    self._removed(key, happened.name)
            elif is_handed_down(happened.name) or happened.name not in known.group.memory.files:
                self._touch(key)
            else:
                known.pulse = ()

    def _note(self, happened: "Happened", mountpoint: str, path: str) -> None:
        from collectors import inotify  # noqa: PLC0415 - as above

        if len(self._changes) >= _CHANGES:
            return
        name = text.clean(happened.name)
        below = f"{text.clean(path).rstrip('/')}/{name}"
        if happened.mask & inotify.CREATE:
            change = Change("made", mountpoint, below)
        elif happened.mask & inotify.DELETE:
            change = Change("removed", mountpoint, below)
        elif name in _TOLD_BY_THE_KERNEL:
            return
        else:
            change = Change("written", mountpoint, text.clean(path), name)
        self._changes.pop(change, None)
        self._changes[change] = None

    def _touch(self, key: tuple[str, str]) -> None:
        """Have the rules of a cgroup read again, and those below it: some are inherited."""
        for one in self._branch(key):
            self._known[one].touched = True

    def _removed(self, above: tuple[str, str], name: str) -> None:
        """Forget a cgroup that was removed: its path may be another one's already."""
        mountpoint, path = above
        for one in self._branch((mountpoint, f"{path.rstrip('/')}/{name}")):
            self._forget(one)

    def _branch(self, key: tuple[str, str]) -> list[tuple[str, str]]:
        """Return a cgroup and those below it, as far as they are known."""
        found = [key] if key in self._known else []
        for mountpoint, path in found:  # which grows meanwhile
            names = self._known[mountpoint, path].group.memory.children
            below = ((mountpoint, f"{path.rstrip('/')}/{name}") for name in names)
            found += [one for one in below if one in self._known]
        return found

    def _forget(self, key: tuple[str, str]) -> None:
        self._drop(self._known.pop(key, None))

    def _drop(self, known: _Known | None) -> None:
        if known is None:
            return
        for handle in known.group.memory.handles.values():
            self._kept.close(handle)
        if known.watch >= 0 and self._watches is not None:
            self._by_watch.pop(known.watch, None)
            self._watches.remove(known.watch)
        known.watch = -1


def _reader(hierarchy: Hierarchy) -> Callable[[Group], Cgroup]:
    return v2.read if hierarchy.version == 2 else v1.read
