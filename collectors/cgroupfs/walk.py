"""Walks hierarchies' cgroups, again and again: visits those in which something can have happened."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from collectors.cgroupfs import depth, v1, v2
from collectors.cgroupfs.group import Group, Known, Tree, is_handed_down, pulse_files
from collectors.cgroupfs.records import Activity, Cgroup, Change, Depth, Hierarchy
from collectors.errors import CollectError, Gone, Missing, Problems
from collectors.kept import Kept
from collectors.root import Root

if TYPE_CHECKING:
    from collectors.cgroupfs.again import Again
    from collectors.cgroupfs.heard import Heard, Listener

_SHAPING = frozenset({"cgroup.subtree_control", "cgroup.type", "cgroup.pressure"})
"""By what is written to them cgroups come to have other files."""
_NEVER = 1 << 62
"""A frame that does not come."""


class Walker:
    """Walks cgroups, in one frame after the other.

    A cgroup's directory is watched by inotify(7), which tells of every write from user space: new
    limits, processes that are moved, cgroups made and removed. So a steady frame lists no directory.
    How much is read of a cgroup of before is said by `Again`; one of which nothing is to be read is
    not visited either: it sleeps until its next turn, or until something is heard of it. A cgroup
    that could not be watched is listed in each frame.
    """

    def __init__(self, root: Root, kept: Kept | None = None) -> None:
        self._root = root
        self._kept = kept or Kept(root)
        self._trees: dict[str, Tree] = {}
        """By mountpoint."""
        self._known: dict[tuple[str, str], Known] = {}
        """By mountpoint and path."""
        self._named: dict[tuple[frozenset[str], str], Known] = {}
        self._listener: Listener | None = None
        self._again: Again | None = None
        self._frame = 0
        self._activity: Activity | None = None
        self._unread: dict[Known, None] = {}
        """Those that were read since their depth was."""
        self._depths: dict[tuple[str, str], Depth] = {}
        self._gone: set[tuple[str, str]] = set()
        """Of whose depth nothing is to be told any more."""

    def changes(self) -> tuple[Change, ...]:
        """Return what was done to cgroups since the frame before, each at its last time; of many, the first."""
        return self._listener.changes() if self._listener is not None else ()

    def begin(self, activity: Activity | None = None) -> None:
        """Begin a frame: hear what was written since the one before, and where something ran."""
        self._frame += 1
        self._activity = activity
        self._kept.renew()
        if self._frame == 2:
            self._begin_again()
        if self._again is not None:
            self._again.begin(self._frame, activity)
        if self._listener is not None:
            for one in self._listener.heard():
                self._hear(one)
        stirred: Iterable[Known] = self._known.values()
        if activity is not None:
            stirred = [self._named[name] for name in activity.stirred if name in self._named]
        for known in stirred:
            self._wake(known)

    def _begin_again(self) -> None:
        from collectors.cgroupfs import again  # noqa: PLC0415 - a single frame needs none of them

        self._again = again.Again(self._root, self._kept)
        if self._root.live:
            from collectors.cgroupfs import heard  # noqa: PLC0415 - as above

            with contextlib.suppress(OSError):
                self._listener = heard.Listener(self._root)

    def end(self) -> None:
        """End a frame: forget the hierarchies that it did not meet."""
        for mountpoint in [name for name, tree in self._trees.items() if tree.seen != self._frame]:
            self._forget_all(self._trees.pop(mountpoint).known)

    def walk(self, hierarchy: Hierarchy, problems: Problems) -> Sequence[Cgroup]:
        """Return a hierarchy's cgroups, each before those below it."""
        tree = self._trees.get(hierarchy.mountpoint)
        if tree is None or not tree.is_same(hierarchy):
            self._forget_all(tree.known if tree is not None else ())
            tree = self._trees[hierarchy.mountpoint] = Tree(hierarchy)
        tree.hierarchy, tree.seen = hierarchy, self._frame
        due = tree.due.pop(self._frame, ())
        if tree.whole:
            self._visit_all(tree, due, problems)
        if not tree.whole:
            self._meet_all(tree, problems)
        return tree.records

    def _visit_all(self, tree: Tree, due: Iterable[Known], problems: Problems) -> None:
        for known in due:
            if known.wake <= self._frame:
                try:
                    tree.records[known.place] = self._visit(known, problems)
                except CollectError:
                    tree.whole = False  # the walk finds out what became of it
                    return

    def _meet_all(self, tree: Tree, problems: Problems) -> None:
        """Go through all of it, from the top."""
        met: list[Known] = []
        records: list[Cgroup] = []
        whole = True
        pending = ["/"]
        while pending:
            path = pending.pop()
            try:
                known, record = self._meet(tree, path, problems)
            except CollectError as error:
                if not isinstance(error, Missing | Gone):
                    problems.failed(error)
                self._forget((tree.hierarchy.mountpoint, path))
                whole = False
                continue
            known.seen, known.place = self._frame, len(met)
            met.append(known)
            records.append(record)
            whole = whole and known.watch >= 0
            pending += known.below
        self._forget_all(known for known in tree.known if known.seen != self._frame)
        tree.known, tree.records, tree.whole = met, records, whole

    def _meet(self, tree: Tree, path: str, problems: Problems) -> tuple[Known, Cgroup]:
        known = self._listed(tree, path, problems)
        try:
            if known.record is not None and known.wake > self._frame:
                return known, known.record
            return known, self._visit(known, problems)
        finally:
            known.group.close()

    def depths(self, problems: Problems, *, numa: bool) -> dict[tuple[str, str], Depth]:
        """Return what the cgroups of this frame say besides, by hierarchy and path.

        It is read again where the record was; only to be asked after the walk.
        """
        found = dict(self._depths) if self._unread or self._gone else self._depths
        for name in self._gone:
            found.pop(name, None)
        self._gone = set()
        for known in list(self._unread):
            if known.record is None:
                continue
            name = known.record.hierarchy, known.record.path
            try:
                found[name] = self._depth(known, problems, numa=numa)
            except CollectError as error:
                if not isinstance(error, Missing | Gone):
                    problems.failed(error)
                found.pop(name, None)
            else:
                del self._unread[known]
        self._depths = found
        return found

    def _depth(self, known: Known, problems: Problems, *, numa: bool) -> Depth:
        """Return what one says besides: the object of before where that is the same."""
        group, before = known.group, known.depth
        group.again(problems, None if before is None else self._kept, everything=before is None)
        try:
            if before is None and depth.is_any(group):
                group.reopen()
            said = depth.read(group, numa=numa)
        finally:
            group.close()
        said = before if before is not None and before == said else said
        known.depth = said
        return said

    def _listed(self, tree: Tree, path: str, problems: Problems) -> Known:
        """Return what is known of a cgroup, with those below it as they are now."""
        key = (tree.hierarchy.mountpoint, path)
        known = self._known.get(key)
        if known is not None and known.watch >= 0 and not known.relist:
            return known
        watch = known.watch if known is not None else -1
        if watch < 0 and self._listener is not None:
            watch = self._listener.add(key)  # before listing: what comes later is told
        try:
            group = self._open(tree, path, problems)
        except CollectError:
            if known is None and watch >= 0 and self._listener is not None:
                self._listener.remove(watch)
            raise
        if known is None:
            known = self._known[key] = self._new(tree, key, group)
        elif known.group.inode == group.inode:
            known.group.memory.files = group.memory.files
            known.group.memory.children = group.memory.children
            known.pulses, known.wake = [], 0
            group.close()
        else:  # another one: the watch may be that of before
            group.close()
            self._forget(key)
            return self._listed(tree, path, problems)
        above = path.rstrip("/")
        known.below = [f"{above}/{name}" for name in reversed(group.memory.children)]
        known.watch, known.relist = watch, False
        return known

    def _open(self, tree: Tree, path: str, problems: Problems) -> Group:
        """Open a cgroup; all of version 1 but the root have the same files, so that one is listed for all."""
        if not self._root.live or tree.hierarchy.version == 2 or path == "/":
            return Group.open(self._root, tree.hierarchy, path, problems)
        frame, files = tree.files
        shared = files if frame == self._frame else None
        group = Group.open(self._root, tree.hierarchy, path, problems, shared)
        tree.files = self._frame, group.memory.files
        return group

    def _new(self, tree: Tree, key: tuple[str, str], group: Group) -> Known:
        known = Known(tree, key, group)
        hierarchy = tree.hierarchy
        name = (frozenset(() if hierarchy.version == 2 else hierarchy.controllers), group.path)
        # With another root processes tell other paths than these.
        if hierarchy.root == "/" and name not in self._named:
            known.name = name
            self._named[name] = known
        return known

    def _visit(self, known: Known, problems: Problems) -> Cgroup:
        """Return a cgroup's record as it is now, and say when it is to be visited again."""
        frame, before = self._frame, known.record
        if before is None or self._again is None:
            known.record = self._first(known, problems)
        else:
            known.record = self._again.read(known, before, problems)
        if known.reread:
            self._unread[known], known.reread = None, False
        period, falling = known.period if known.pulse else 1, known.falling
        wake = frame + period - (frame + known.group.inode) % period
        if falling:
            wake = min(wake, frame + falling - (frame + known.group.inode) % falling)
        known.wake = wake
        known.tree.due.setdefault(wake, []).append(known)
        return known.record

    def _wake(self, known: Known) -> None:
        if known.wake > self._frame:
            known.wake = self._frame
            known.tree.due.setdefault(self._frame, []).append(known)

    def _first(self, known: Known, problems: Problems) -> Cgroup:
        """Return the record of one that was just listed, every file read."""
        group = known.group
        group.again(problems, None, everything=True)
        record = (v2.read if group.hierarchy.version == 2 else v1.read)(group)
        said, group.memory.pulse = group.memory.pulse, {}
        known.files = pulse_files(group.memory.files)
        if all(file in said for file in known.files):
            known.pulse = tuple([said[file] for file in known.files])
        known.falling, known.reread = v2.falling(record), True
        known.stirred = 0 if self._activity is None else self._frame
        return record

    def _hear(self, heard: "Heard") -> None:
        if heard.key is None:
            for one in self._known.values():
                one.relist = one.touched = True
                one.tree.whole = False
                self._wake(one)
            return
        known = self._known.get(heard.key)
        if known is None:
            return
        self._wake(known)
        if heard.kind != "written":
            known.relist, known.tree.whole = True, False
            if heard.kind == "removed":  # its path may be another one's already
                mountpoint, path = heard.key
                for one in self._branch((mountpoint, f"{path.rstrip('/')}/{heard.name}")):
                    self._forget(one.key)
        elif is_handed_down(heard.name) or heard.name not in known.group.memory.files:
            for one in self._branch(heard.key):  # some rules are inherited
                one.touched = True
                if heard.name in _SHAPING:
                    one.relist, one.tree.whole = True, False
                self._wake(one)
        else:
            known.pulse = ()

    def _branch(self, key: tuple[str, str]) -> list[Known]:
        """Return a cgroup and those below it, as far as they are known."""
        found = [self._known[key]] if key in self._known else []
        for known in found:  # which grows meanwhile
            below = (self._known.get((key[0], path)) for path in known.below)
            found += [one for one in below if one is not None]
        return found

    def _forget_all(self, known: Iterable[Known]) -> None:
        for one in known:
            self._forget(one.key)

    def _forget(self, key: tuple[str, str]) -> None:
        known = self._known.pop(key, None)
        if known is None:
            return
        for handle in known.group.memory.handles.values():
            self._kept.close(handle)
        if known.watch >= 0 and self._listener is not None:
            self._listener.remove(known.watch)
        if known.name is not None:
            del self._named[known.name]
        if known.depth is not None and known.record is not None:
            self._gone.add((known.record.hierarchy, known.record.path))
        self._unread.pop(known, None)
        known.wake, known.tree.whole = _NEVER, False
