"""Every task of the host in one read, by a BPF iterator: what tells whether a process has changed."""

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from collectors.bpf import btf, programs
from collectors.bpf.btf import Btf
from collectors.bpf.programs import field
from collectors.errors import CollectError
from collectors.formats import ns_link, pid_stat
from collectors.root import Root
from runtime.errors import FormatError

if TYPE_CHECKING:
    from collectors.bpf.details import Detail

_TYPES_FILE: Final = "sys/kernel/btf/vmlinux"
_FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC
"""Inode of the kernel's own (linux/proc_ns.h): its numbers are those of `struct task_struct`."""
_FIRST_USER_NAMESPACE: Final = 0xEFFFFFFD
"""The same of users: what the kernel numbers is what this process sees."""
_NANOSECONDS: Final = 1_000_000_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


_SPACES: Final = ("mnt", "uts", "ipc", "net", "cgroup", "time")
_FIELDS: Final = (
    field(4, "task_struct.tgid"),
    field(4, "task_struct.pid"),
    # Where it is: its set of cgroups, and the one of version 2, whose number is never used again.
    field(8, "task_struct.cgroups"),
    field(8, "task_struct.cgroups", "css_set.dfl_cgrp", "cgroup.kn", "kernfs_node.id"),
    # Who it is, and of which program.
    field(8, "task_struct.start_boottime"),
    field(8, "task_struct.self_exec_id"),
    # What else it is: another name, user, namespace.
    field(8, "task_struct.comm.0"),
    field(8, "task_struct.comm.8"),
    field(8, "task_struct.real_cred"),
    *(
        field(
            4,
            "task_struct.nsproxy",
            f"nsproxy.{kind}_ns",
            "net.ns.inum" if kind == "net" else f"{kind}_namespace.ns.inum",
        )
        for kind in _SPACES
    ),
    field(4, "task_struct.nsproxy", "nsproxy.time_ns_for_children", "time_namespace.ns.inum"),
    field(4, "task_struct.exit_state"),
    field(4, "task_struct.real_cred", "cred.user_ns", "user_namespace.ns.inum"),
    # Its pid namespace is its children's, if that is not deeper than its own pid reaches.
    field(4, "task_struct.nsproxy", "nsproxy.pid_ns_for_children", "pid_namespace.ns.inum"),
    field(4, "task_struct.nsproxy", "nsproxy.pid_ns_for_children", "pid_namespace.level"),
    field(4, "task_struct.thread_pid", "pid.level"),
    # What counts.
    field(8, "task_struct.se.sum_exec_runtime"),
    field(8, "task_struct.real_parent", "task_struct.tgid"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.0.count"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.1.count"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.3.count"),
    # What happened around it: counts what is mounted and unmounted in its namespace.
    field(8, "task_struct.nsproxy", "nsproxy.mnt_ns", "mnt_namespace.event"),
)
_ITERATOR: Final = "bpf_iter_task"
_FILE_ITERATOR: Final = "bpf_iter_task_file"
_FILE_RECORD: Final = struct.Struct("=IIIIQ")
"""Process, task, descriptor, mode and inode."""
_FORMAT, _SOCKET = 0xF000, 0xC000
"""S_IFMT and S_IFSOCK (inode(7))."""
_NSFS_MAGIC: Final = 0x6E736673
"""Of linux/magic.h."""
_NAMES: Final = {_ITERATOR, _FILE_ITERATOR, "file", "inode", "super_block"} | {
    structure for one in _FIELDS for structure, _ in one.path
}
SIZE: Final = sum(one.size for one in _FIELDS)
"""Bytes of a record."""
_RECORD: Final = struct.Struct(f"=II{SIZE - 8}s")

# Parts of a token, which is a record without its two numbers.
PLACE: Final = slice(0, 16)
"""Another one: it is in other cgroups."""
START: Final = slice(16, 24)
"""Another one: the pid is another process's now."""
PROGRAM: Final = slice(24, 32)
IDENTITY: Final = slice(0, 32)
"""The same in two: they are of one process, program and set of cgroups."""
_NAME: Final = slice(32, 48)
KIND: Final = slice(24, 104)
"""Another one: it has another program, name, user or namespace, or is over."""
RAN: Final = slice(104, 112)
"""Another one, or anything behind it: it ran, or one of its other threads did."""
_PARENT: Final = slice(112, 120)
MOUNT_NAMESPACE: Final = slice(56, 60)
SPACES: Final = slice(56, 104)
"""The same in two: so are all their namespaces, and those that their children will be in."""
_SPACES_RECORD: Final = struct.Struct("=12I")
MOUNTED: Final = slice(SIZE - 16, SIZE - 8)
"""Another one: something was mounted, unmounted or remounted in its mount namespace."""
_THREADS: Final = SIZE - 8
"""Behind the record of its first thread stand what the others ran."""


def ran(before: bytes, after: bytes) -> bool:
    """Return whether any thread of a process ran between two tokens."""
    return before[RAN] != after[RAN] or before[_THREADS:] != after[_THREADS:]


def alike(before: bytes, after: bytes) -> bool:
    """Return whether two tokens differ at most in what happened around the process."""
    return (
        before[: MOUNTED.start] == after[: MOUNTED.start] and before[_THREADS:] == after[_THREADS:]
    )


def mounts(token: bytes) -> bytes:
    """Return what is another one when its process sees other mounts, or is another process."""
    return token[START] + token[MOUNT_NAMESPACE] + token[MOUNTED]


class Inodes(NamedTuple):
    """The namespaces that a process is in, by their types, and the one of time for its children."""

    mnt: int
    uts: int
    ipc: int
    net: int
    cgroup: int
    time: int
    pid: int
    user: int
    time_for_children: int


def inodes(token: bytes) -> Inodes | None:
    """Return a process's namespaces; None where it is over, or its pid namespace is not told."""
    *found, waiting, over, user, pid, deepest, level = _SPACES_RECORD.unpack_from(
        token, SPACES.start
    )
    if over or not all((*found, waiting, user, pid)):
        return None
    if level == 0:
        pid = _FIRST_PID_NAMESPACE
    elif deepest != level:
        return None
    return Inodes._make((*found, pid, user, waiting))


def start_ticks(token: bytes) -> int:
    """Return when a process started, in ticks after boot, as its `stat` has it."""
    started = int.from_bytes(token[START], "little")
    return started * _TICKS // _NANOSECONDS


class Opened(NamedTuple):
    """What processes have open: their pids by a socket's inode, and descriptors of namespaces by pid."""

    sockets: dict[int, list[int]]
    namespaces: dict[int, list[int]]


class Tasks:
    """Reads what tells of every process whether it has changed.

    Pids are the kernel's own: only for a reader in the first pid namespace, as `connect` sees to it.
    """

    def __init__(self, link: int, files: int = -1, details: int = -1) -> None:
        """Take the descriptors of links, to own them: over tasks, their open files, their details."""
        self._link = link
        self._files = files
        self._details = details
        self._first: dict[int, bytes] | None = None
        self.threads = 0
        """How many threads the last reading told of."""

    def __del__(self) -> None:
        """Unload the programs."""
        for link in (self._link, self._files, self._details):
            if link >= 0:
                os.close(link)

    def opened(self) -> Opened | None:
        """Return the sockets and namespaces that processes have open; None where that is not told."""
        found = Opened({}, {})
        if self._files < 0:
            return None
        try:
            data = programs.read(self._files)
        except OSError:
            return None
        for process, task, number, mode, inode in _FILE_RECORD.iter_unpack(data):
            if process != task:
                continue  # of a thread with files of its own: /proc/PID/fd has none of them
            if mode & _FORMAT == _SOCKET:
                found.sockets.setdefault(inode, []).append(process)
            else:
                found.namespaces.setdefault(process, []).append(number)
        return found

    def details(self) -> "dict[int, Detail] | None":
        """Return what each process says of itself, by pid; None where that is not told."""
        if self._details < 0:
            return None
        from collectors.bpf import details  # noqa: PLC0415 - only where there are many

        try:
            return details.read(self._details)
        except OSError:
            return None

    def agrees(self, root: Root) -> bool:
        """Read, and return whether it is as /proc tells; raise OSError."""
        self._first = self.read()
        return _agrees(self._first, root)

    def taken(self) -> dict[int, bytes] | None:
        """Return once what `agrees` read."""
        first, self._first = self._first, None
        return first

    def read(self) -> dict[int, bytes]:
        """Return a token of each process by its pid, ascending; raise OSError.

        A security module may keep processes from it that /proc lists.
        """
        found: dict[int, bytes] = {}
        others: dict[int, list[bytes]] = {}
        data = programs.read(self._link)
        self.threads = len(data) // SIZE
        for process, task, token in _RECORD.iter_unpack(data):
            if process == task:
                found[process] = token
            else:
                others.setdefault(process, []).append(token[RAN])
        for process, parts in others.items():
            if process in found:
                found[process] += b"".join(parts)
        return found


def connect(root: Root) -> Tasks | None:
    """Return the reader, where this kernel has it, this user may, and it says what /proc does."""
    if not root.live:
        return None
    try:
        if _inode(root, "pid") != _FIRST_PID_NAMESPACE:
            return None
        if root.link("proc/self") != str(os.getpid()):
            return None  # a /proc of another pid namespace
        from collectors.bpf import details  # noqa: PLC0415 - only where there is something to load

        types = btf.Btf(root.read(_TYPES_FILE), _NAMES | details.STRUCTURES)
        code, function = programs.copying(types, _FIELDS), types.function(_ITERATOR)
        tasks = Tasks(
            programs.iterate(code, function, b"cinspect_tasks"),
            _over_files(types),
            _details(types, root),
        )
        return tasks if tasks.agrees(root) else None
    except (OSError, CollectError, FormatError):
        return None


def _over_files(types: Btf) -> int:
    """Return a link to the iterator over open files; -1 where there is none."""
    try:
        code = b"".join(_instructions_of_files(types))
        return programs.iterate(code, types.function(_FILE_ITERATOR), b"cinspect_files")
    except (OSError, FormatError):
        return -1


def _details(types: Btf, root: Root) -> int:
    """Return a link to the iterator over details; -1 where there is none, or its ids are not ours."""
    from collectors.bpf import details  # noqa: PLC0415 - only where there is something to load

    try:
        return details.connect(types) if _inode(root, "user") == _FIRST_USER_NAMESPACE else -1
    except (OSError, FormatError):
        return -1


def _agrees(tokens: dict[int, bytes], root: Root) -> bool:
    """Return whether this process is told of as /proc tells: then so are the others."""
    token = tokens.get(os.getpid())
    if token is None:
        return False
    stat = pid_stat.parse(root.read("proc/self/stat"))
    told = inodes(token)
    return (
        start_ticks(token) == stat.start_ticks
        and token[_NAME].rstrip(b"\0").decode(errors="replace") == stat.comm
        and told is not None
        and told == tuple(_inode(root, kind) for kind in Inodes._fields)
        and int.from_bytes(token[_PARENT], "little") == stat.ppid
    )


def _inode(root: Root, kind: str) -> int:
    return ns_link.parse(root.link(f"proc/self/ns/{kind}"))[1]


def _instructions_of_files(types: Btf) -> Iterator[bytes]:
    """Yield the program over files: of those that are sockets or namespaces it writes a record.

    `struct bpf_iter__task_file` has the `meta`, the task, the descriptor's number, and the file.
    """
    body = [
        programs.load(9, 8, types.offset("file", "f_inode")),
        programs.load(2, 9, types.offset("inode", "i_mode"), 2),
        programs.store(10, -12, 2, 4),
        programs.instruction(0x57, to=2, value=_FORMAT),  # r2 &= S_IFMT
        programs.load(1, 9, types.offset("inode", "i_sb")),
        programs.load(1, 1, types.offset("super_block", "s_magic")),
    ]
    rest = [
        programs.load(1, 9, types.offset("inode", "i_ino")),
        programs.store(10, -8, 1),
        programs.load(1, 7, types.offset("task_struct", "tgid"), 4),
        programs.store(10, -24, 1, 4),
        programs.load(1, 7, types.offset("task_struct", "pid"), 4),
        programs.store(10, -20, 1, 4),
        programs.load(1, 6, 16, 4),  # r1 = ctx->fd
        programs.store(10, -16, 1, 4),
        *programs.written(_FILE_RECORD.size),
    ]
    body += [
        programs.instruction(0x15, to=2, offset=1, value=_SOCKET),  # if it is one, go on
        programs.instruction(0x55, to=1, offset=len(rest), value=_NSFS_MAGIC),  # if not, leave
        *rest,
    ]
    yield programs.instruction(0xBF, to=6, source=1)  # r6 = ctx
    yield programs.load(7, 6, 8)  # r7 = ctx->task
    yield programs.instruction(0x15, to=7, offset=len(body) + 2)  # if it is null, leave
    yield programs.load(8, 6, 24)  # r8 = ctx->file
    yield programs.instruction(0x15, to=8, offset=len(body))
    yield from body
    yield programs.instruction(0xB7, to=0)  # r0 = 0: go on
    yield programs.instruction(0x95)  # exit
