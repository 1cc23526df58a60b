"""Looks one thing up that no reading has: a path, a descriptor, who has a file open."""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct

from collectors import netns
from collectors.errors import CollectError, Gone, Missing
from collectors.netlink import sock_diag
from collectors.root import Directory, Root
from runtime.errors import FormatError
from runtime.formats import text

_FEW = 512
"""Most processes have not so many descriptors."""
_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


class PathFacts(Struct, frozen=True, kw_only=True):
    """What a path of the host's is."""

    path: str
    """As it was asked for, absolute."""
    real: str
    """With symbolic links followed as far as they lead."""
    kind: str | None = None
    """`file`, `directory`…; None: there is none, or it may not be looked at."""
    device: int = 0
    inode: int = 0
    problem: str | None = None
    """Why it could not be looked at."""


class DescriptorFacts(Struct, frozen=True, kw_only=True):
    """What an open descriptor of a process is."""

    link: str | None
    """As the kernel names it: a path, `socket:[12]`, `pipe:[7]`."""
    inode: int | None = None
    mount_id: int | None = None
    problem: str | None = None


class Open(Struct, frozen=True):
    """A descriptor by which a process has something open."""

    pid: int
    number: int
    link: str


class OpenFiles(Struct, frozen=True):
    """Who has files open, by the files' inodes."""

    holders: Mapping[int, tuple[Open, ...]]
    complete: bool
    """Whether every process could be looked at, within the budget."""


def path(root: Root, name: str) -> PathFacts:
    """Return what is at a path; nothing of it raises."""
    absolute = os.path.abspath(name)
    try:
        real = os.path.realpath(root.resolve(absolute))
        if not root.live:
            real = "/" + os.path.relpath(real, os.path.realpath(root.path))
        status = os.stat(root.resolve(absolute), follow_symlinks=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return PathFacts(path=absolute, real=absolute, problem=text.clean(reason or str(error)))
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "file")
    return PathFacts(path=absolute, real=real, kind=kind, device=status.st_dev, inode=status.st_ino)


def descriptor(root: Root, pid: int, number: int) -> DescriptorFacts:
    """Return what a process has open under a number; nothing of it raises."""
    try:
        with root.directory(f"proc/{pid}") as process:
            link = process.link(f"fd/{number}")
            fields = _fdinfo(process.read(f"fdinfo/{number}"))
    except CollectError as error:
        return DescriptorFacts(link=None, problem=error.message)
    return DescriptorFacts(link=link, inode=fields.get("ino"), mount_id=fields.get("mnt_id"))


def listeners_at(root: Root, found: PathFacts, namespaces: Mapping[int, int]) -> tuple[int, ...]:
    """Return the inodes of the unix sockets that listen at a path; none where nothing may be asked.

    `namespaces` has a process of each network namespace: unix sockets belong to one, their paths do not.
    """
    if not root.live or found.kind != "socket":
        return ()
    device = os.major(found.device) << 20 | os.minor(found.device)
    inodes: list[int] = []
    order = iter(namespaces.items())
    while batch := dict(islice(order, netns.AT_ONCE)):
        opened, _ = netns.enter(batch, netns.SOCK_DIAG)
        for one in opened.values():
            with one, contextlib.suppress(OSError, FormatError):
                inodes += [
                    bound.inode
                    for bound in sock_diag.unix_listeners(one)
                    if (bound.file_inode, bound.device) == (found.inode & 0xFFFFFFFF, device)
                ]
    return tuple(inodes)


def open_files(
    root: Root, inodes: Iterable[int], pids: Iterable[int], *, descriptors: int = 30_000
) -> OpenFiles:
    """Return which of these processes have files with these inodes open, by /proc/PID/fdinfo.

    A descriptor costs about 15 microseconds: `descriptors` is how many are looked at, the first
    `_FEW` of every process before the others of any.
    """
    search = _Search(root, frozenset(inodes), descriptors)
    many = [pid for pid in pids if search.has_more(pid, 0, _FEW)]
    left_out = [pid for pid in many if search.has_more(pid, _FEW, descriptors)]
    holders = {inode: tuple(held) for inode, held in search.found.items()}
    return OpenFiles(holders, search.complete and not left_out)


class _Search:
    """Looks at a number of descriptors in all, of one process after the other."""

    def __init__(self, root: Root, wanted: frozenset[int], left: int) -> None:
        self._root = root
        self._wanted = wanted
        self._left = left
        self.found: dict[int, list[Open]] = {}
        self.complete = True
        """False when a process could not be looked at."""

    def has_more(self, pid: int, skip: int, most: int) -> bool:
        """Add what a process has open, but the first; return whether it may have more."""
        most = min(most, self._left)
        try:
            looked = self._look(pid, skip, most)
        except (Missing, Gone):
            return False
        except (CollectError, OSError):
            self.complete = False
            return False
        self._left -= looked
        return looked == most

    def _look(self, pid: int, skip: int, most: int) -> int:
        with self._root.directory(f"proc/{pid}") as process:
            with process.directory("fdinfo") as directory, os.scandir(directory.fd) as scan:
                names = [entry.name for entry in islice(scan, skip, skip + most)]
            for name in names:
                one = _opened(process, pid, name, self._wanted)
                if one is not None:
                    self.found.setdefault(one[0], []).append(one[1])
        return len(names)


def _opened(
    process: Directory, pid: int, name: str, wanted: frozenset[int]
) -> tuple[int, Open] | None:
    try:
        inode = _fdinfo(process.read(f"fdinfo/{name}")).get("ino")
        if inode is None or inode not in wanted:
            return None
        return inode, Open(pid, int(name), process.link(f"fd/{name}"))
    except (Missing, Gone):
        return None


def _fdinfo(data: bytes) -> dict[str, int]:
    """Return the numbers of a file in /proc/PID/fdinfo (proc_pid_fdinfo(5)): `ino`, `mnt_id`."""
    found: dict[str, int] = {}
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        if name in {b"ino", b"mnt_id"} and value.strip().isdigit():
            found[name.decode("ascii")] = int(value)
    return found
