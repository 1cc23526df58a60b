"""Asks the filesystems that containers have mounted how full they are: statvfs(3), each once, bounded in time.

A filesystem of another machine, or of a process (FUSE), may never answer, and whoever waits for it cannot
always be killed. So only those are asked that answer from this kernel's memory, through paths that
cross no other; and for all of them together half a second is waited, by a thread that is left behind.
"""

import os
import threading
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import Problem
from collectors.members import Members, Mounted
from collectors.root import Root
from collectors.syscalls import open_in_root
from runtime.formats.mountinfo import MountInfo

__all__ = ("KEY", "Filesystem", "FilesystemsReading", "Reader", "answers", "within")

_LOCAL: Final = frozenset(
    {
        "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs", "ntfs3",
        "nilfs2", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
    }
)  # fmt: skip
_PASSABLE: Final = _LOCAL | {
    "bpf", "cgroup", "cgroup2", "debugfs", "devpts", "devtmpfs", "mqueue", "overlay", "proc", "securityfs",
    "sysfs", "tracefs",
}  # fmt: skip
"""What a path may cross: those, and what the kernel itself makes."""
_SECONDS: Final = 0.5
_REST: Final = 50.0
"""Times that asking took, until it is asked again."""
_DOORS: Final = 4
"""Mounts of one filesystem that are tried."""
_LEFT_BEHIND: Final = 3
"""Threads that wait for an answer; with so many no other is begun."""


class Filesystem(Struct, frozen=True, kw_only=True):
    """How full one is; all of it, whichever part of it is mounted."""

    device: str
    """`major:minor`, as mountinfo has it."""
    size_bytes: int
    used_bytes: int
    available_bytes: int
    """To others than root."""
    inodes: int | None
    """None where it makes them as they are needed."""
    inodes_used: int | None


class FilesystemsReading(Struct, frozen=True):
    """Every local filesystem that is mounted in some namespace."""

    filesystems: tuple[Filesystem, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("filesystems", FilesystemsReading)


class _Door(NamedTuple):
    """One mount of a filesystem, and a process that sees it."""

    device: str
    process: str
    """A pid, or `self`."""
    mount: MountInfo


class Reader:
    """Asks again and again, and rests between."""

    def __init__(self, who: Members | None = None, local: frozenset[str] = _LOCAL) -> None:
        """Remember nothing yet; `who` walks /proc, for others too; `local` are the types to be asked."""
        self._who = who or Members()
        self._local = local
        self._last = FilesystemsReading(())
        self._due = 0.0
        self._silent: dict[str, threading.Thread] = {}
        """Who waits for an answer, by device."""
        self._mounted: Mounted | None = None
        self._known: Mapping[str, Sequence[_Door]] = {}
        """Where to ask, as long as the same is mounted."""

    def read(self, root: Root) -> FilesystemsReading:
        """Return what each answered; those that do not in time are in `problems`."""
        began = time.monotonic()
        if not root.live or began < self._due:
            return self._last
        self._silent = {device: one for device, one in self._silent.items() if one.is_alive()}
        doors = self._doors(root)
        told: dict[str, Filesystem] = {}
        if len(self._silent) < _LEFT_BEHIND:
            told = self._ask([one for one in doors.items() if one[0] not in self._silent])
        before = {one.device: one for one in self._last.filesystems if one.device in doors}
        self._last = FilesystemsReading(
            tuple((before | told).values()),
            tuple(_silence(doors[device][0]) for device in self._silent if device in doors),
        )
        self._due = time.monotonic() + _REST * (time.monotonic() - began)
        return self._last

    def _ask(self, doors: Iterable[tuple[str, Sequence[_Door]]]) -> dict[str, Filesystem]:
        told: dict[str, Filesystem] = {}
        asked: list[str] = []
        left = threading.Event()

        def work() -> None:
            for device, some in doors:
                if left.is_set():
                    return
                asked.append(device)
                found = next(filter(None, map(_statvfs, some)), None)
                if found is not None:
                    told[device] = found

        thread = threading.Thread(target=work, name="statvfs", daemon=True)
        thread.start()
        thread.join(_SECONDS)
        left.set()
        if thread.is_alive() and asked:
            self._silent[asked[-1]] = thread
        return dict(told)

    def _doors(self, root: Root) -> Mapping[str, Sequence[_Door]]:
        """Return some mounts of each filesystem, the host's own before a container's: one may be hidden."""
        mounted = self._who.mounted(root)
        if mounted is self._mounted:
            return self._known
        own = os.stat("/proc/self/ns/mnt").st_ino
        found: dict[str, list[_Door]] = {}
        for inode, (pid, mounts) in sorted(
            mounted.namespaces.items(), key=lambda one: (one[0] != own, one[1][0])
        ):
            process = "self" if inode == own else str(pid)
            for mount in mounts:
                known = found.get(mount.device, ())
                if len(known) < _DOORS and answers(mount, mounts, self._local):
                    found.setdefault(mount.device, []).append(_Door(mount.device, process, mount))
        self._mounted, self._known = mounted, found
        return found


def answers(mount: MountInfo, mounts: Iterable[MountInfo], local: frozenset[str] = _LOCAL) -> bool:
    """Return whether a filesystem can be asked without waiting for a process or another machine."""
    return mount.fstype in local and all(
        one.fstype in _PASSABLE or one.fstype in local
        for one in mounts
        if mount.mountpoint.startswith(f"{one.mountpoint.rstrip('/')}/")
    )


@contextmanager
def within(process: str, mount: MountInfo, flags: int = os.O_PATH) -> Generator[int]:
    """Open what is mounted, as a process sees it; raise OSError, FileNotFoundError of another mount.

    Links do not lead out of the process's root, and what is mounted over it is not taken for it.
    """
    top = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(top, mount.mountpoint, flags)
    finally:
        os.close(top)
    try:
        if _mount_id(fd) != mount.mount_id:
            raise FileNotFoundError(f"{mount.mountpoint} is another mount by now")
        yield fd
    finally:
        os.close(fd)


def _mount_id(fd: int) -> int | None:
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        for line in file:
            name, _, value = line.partition(b":")
            if name == b"mnt_id":
                return int(value)
    return None


def _statvfs(door: _Door) -> Filesystem | None:
    try:
        with within(door.process, door.mount) as fd:
            said = os.statvfs(fd)
    except (OSError, ValueError):
        return None  # unmounted meanwhile, hidden by another mount, or of another user's process
    return Filesystem(
        device=door.device,
        size_bytes=said.f_blocks * said.f_frsize,
        used_bytes=(said.f_blocks - said.f_bfree) * said.f_frsize,
        available_bytes=said.f_bavail * said.f_frsize,
        inodes=said.f_files or None,
        inodes_used=said.f_files - said.f_ffree if said.f_files else None,
    )


def _silence(door: _Door) -> Problem:
    message = f"the {door.mount.fstype} mounted there does not answer"
    return Problem(door.mount.mountpoint, "statvfs", "unavailable", message)
