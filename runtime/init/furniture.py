"""What nearly every container has, made before it is known which: a spare furnishes it.

Each piece is a mount that no namespace has, made by the ordinary step in a mount namespace that
nobody else was in. A container whose spec asks for just such a step gets the piece moved to its
place; whatever else it asks for is made as always.
"""

import contextlib
import os
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from runtime.init import hardening, layout, mounting, paths
from runtime.init.step import Child, Step
from runtime.linux import constants, mounts, syscalls

_SAFE: Final = ["nosuid", "noexec", "nodev"]
_PTS: Final = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]


def _mount(place: str, fstype: str, source: str, options: list[str]) -> Mapping[str, Any]:
    return {"destination": place, "type": fstype, "source": source, "options": options}


USUAL: Final = (
    _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    _mount("/dev/pts", "devpts", "devpts", _PTS),
    _mount("/dev/shm", "tmpfs", "shm", [*_SAFE, "mode=1777", "size=65536k"]),  # noqa: S108 - POSIX names it
    _mount("/dev/mqueue", "mqueue", "mqueue", _SAFE),
    _mount("/sys", "sysfs", "sysfs", [*_SAFE, "ro"]),
)
"""The mounts of `runc spec`, of the engines, and of ours, as far as they can be made in advance."""
_PROC: Final = _mount("/proc", "proc", "proc", _SAFE)
_CGROUPS: Final = _mount("/sys/fs/cgroup", "cgroup", "cgroup", ["ro", *_SAFE])
_SETS: Final = ("bounding", "effective", "permitted")
COMMON: Final[Mapping[str, Any]] = {
    "hostname": "common",
    "process": {"args": ("true",), "cwd": "/", "capabilities": dict.fromkeys(_SETS, ("CAP_KILL",))},
    "mounts": (_PROC, *USUAL, _CGROUPS),
    "linux": {
        "namespaces": [
            {"type": each} for each in ("mount", "pid", "uts", "ipc", "network", "cgroup")
        ],
        "maskedPaths": ("/proc/kcore",),
        "readonlyPaths": ("/proc/sys",),
    },
}
"""A container like most."""
_SHOWN: Final = {"mqueue": "ipc", "sysfs": "network"}
"""The namespace that a filesystem shows, by its type."""


class Placed(Step):
    """Move a piece to where the container wants it."""

    __slots__ = ("_made", "_tree")

    def __init__(self, made: mounting.FilesystemMount, tree: int) -> None:
        self._made = made
        self._tree = tree

    @property
    def destination(self) -> str:
        """Where it comes to be, relative to the root."""
        return self._made.destination

    def describe(self) -> str:
        """Say what the step would have said that it stands for."""
        return self._made.describe()

    def execute(self, child: Child, /) -> None:
        """Attach it; no link leads to any of these places."""
        place = paths.make(child.rootfs, self.destination, directory=True, strict=True)
        try:
            mounts.move_mount(self._tree, place)
        finally:
            os.close(place)


class Furniture:
    """The pieces; they belong to the namespaces of the process that makes them."""

    def __init__(self, room: Child) -> None:
        """Make them in an empty room; raises OSError where that cannot be, as for a user."""
        steps = layout.common(USUAL)
        made = [each for each in steps if isinstance(each, mounting.FilesystemMount)]
        self._inside = [each for each in steps if each not in made]
        with _empty(room):
            self._pieces = [(each, self._make(each, room)) for each in made]

    def _make(self, step: mounting.FilesystemMount, room: Child) -> int:
        """Mount it in the room, and take it up as a tree of no namespace; /dev gets its files."""
        alone = step if step.destination == "dev" else step.elsewhere(f"/{step.fstype}")
        alone.execute(room)
        if alone is step:
            for each in self._inside:
                each.execute(room)
        place = paths.find(room.rootfs, alone.destination)
        try:
            return mounts.open_tree(place)
        finally:
            os.close(place)

    def fit(self, steps: Sequence[Step], new: frozenset[str]) -> list[Step]:
        """Return a container's steps, with what is there in place of what would be made.

        `new` are the namespaces that the container has of those that the pieces were made in.
        """
        pieces: dict[tuple[object, ...], Step] = {
            _what(made): Placed(made, tree)
            for made, tree in self._pieces
            if _SHOWN.get(made.fstype) in {None, *new}
        }
        fitted = [
            pieces.pop(_what(each), each) if isinstance(each, mounting.FilesystemMount) else each
            for each in steps
        ]
        if not _untouched(fitted):
            return fitted
        inside = {_what(each) for each in self._inside}
        return [
            each
            for each in fitted
            if not isinstance(each, hardening.Device | hardening.Link) or _what(each) not in inside
        ]


def _what(step: Step) -> tuple[object, ...]:
    """Return what two steps have in common that do the same."""
    names: Sequence[str] = step.__slots__
    return (type(step), *[getattr(step, name) for name in names])


def _untouched(steps: Sequence[Step]) -> bool:
    """Tell whether /dev is a piece, and nothing but pieces is mounted after it that may be in there."""
    found = False
    for step in steps:
        if isinstance(step, Placed):
            found = found or step.destination == "dev"
        elif (found and isinstance(step, mounting.BindMount)) or (
            found
            and isinstance(step, mounting.FilesystemMount | mounting.CgroupMount)
            and step.destination.split("/")[0] not in {"proc", "sys"}
        ):
            return False
    return found


@contextlib.contextmanager
def _empty(room: Child) -> Generator[None]:
    """Be in a mount namespace of its own, with an empty root over the host's; then where one was."""
    own = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(constants.CLONE_NEWNS)
    try:
        mounting.Propagation(constants.MS_PRIVATE).execute(room)
        top = mounting.namespace_root()
        room.rootfs = mounts.filesystem("tmpfs", {"source": "tmpfs"})
        mounts.move_mount(room.rootfs, top)
        os.close(top)
        yield
    finally:
        syscalls.setns(home, constants.CLONE_NEWNS)
        os.fchdir(own)
        os.chroot(".")
        for each in (home, own, room.rootfs):
            if each >= 0:
                os.close(each)
        room.rootfs = -1
