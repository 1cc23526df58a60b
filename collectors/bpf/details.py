"""What /proc/PID/stat and status say, of every process in one read: where thousands are to be read anew."""

import os
import struct
from typing import Any, Final, NamedTuple

from collectors.bpf import programs
from collectors.bpf.btf import Btf
from collectors.bpf.programs import field
from collectors.formats.pid_stat import PidStat
from collectors.formats.pid_status import PidStatus
from runtime.errors import FormatError
from runtime.formats import text

_ITERATOR: Final = "bpf_iter_task"
_MOST_LEVELS: Final = 3
"""Pid namespaces within each other, the first not counted: a process in a deeper one is not told."""
_FIELDS: Final = (
    # As the token has them: `tasks.IDENTITY`.
    field(8, "task_struct.cgroups"),
    field(8, "task_struct.cgroups", "css_set.dfl_cgrp", "cgroup.kn", "kernfs_node.id"),
    field(8, "task_struct.start_boottime"),
    field(8, "task_struct.self_exec_id"),
    field(8, "task_struct.comm.0"),
    field(8, "task_struct.comm.8"),
    # What its only thread used, those that ended, and what was said of both before.
    field(8, "task_struct.utime"),
    field(8, "task_struct.stime"),
    field(8, "task_struct.se.sum_exec_runtime"),
    field(8, "task_struct.signal", "signal_struct.utime"),
    field(8, "task_struct.signal", "signal_struct.stime"),
    field(8, "task_struct.signal", "signal_struct.sum_sched_runtime"),
    field(8, "task_struct.signal", "signal_struct.prev_cputime.utime"),
    field(8, "task_struct.signal", "signal_struct.prev_cputime.stime"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.0.count"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.1.count"),
    field(8, "task_struct.mm", "mm_struct.rss_stat.3.count"),
    field(8, "task_struct.real_cred", "cred.cap_inheritable"),
    field(8, "task_struct.real_cred", "cred.cap_permitted"),
    field(8, "task_struct.real_cred", "cred.cap_effective"),
    field(8, "task_struct.real_cred", "cred.cap_bset"),
    field(8, "task_struct.real_cred", "cred.cap_ambient"),
    field(8, "task_struct.atomic_flags"),
    field(4, "task_struct.tgid"),
    field(4, "task_struct.real_parent", "task_struct.tgid"),
    field(4, "task_struct.__state"),
    field(4, "task_struct.exit_state"),
    field(4, "task_struct.flags"),
    field(4, "task_struct.signal", "signal_struct.nr_threads"),
    field(4, "task_struct.real_cred", "cred.euid.val"),
    field(4, "task_struct.real_cred", "cred.egid.val"),
    field(4, "task_struct.seccomp.mode"),
    field(4, "task_struct.thread_pid", "pid.level"),
    field(4, "task_struct.thread_pid", "pid.numbers.1.nr"),
    field(4, "task_struct.thread_pid", "pid.numbers.2.nr"),
    field(4, "task_struct.thread_pid", "pid.numbers.3.nr"),
)
_RECORD: Final = struct.Struct("=32s16s8Q3q6Q2i4I2I2I3iI")
_SPARE: Final = field(4, "task_struct.exit_state")
_ACCOUNTED: Final = field(4, "task_struct.vtime.state")
"""Not 0 where time is counted at each entry of the kernel: then it goes on while nothing is told."""
STRUCTURES: Final = {name for one in _FIELDS for name, _ in one.path}
"""Whose types are needed."""

_START: Final = slice(16, 24)
"""Of an identity: when the process started."""
_EXITING, _WORKQUEUE, _KERNEL_THREAD = 0x4, 0x20, 0x00200000
"""PF_… of linux/sched.h."""
_STATES: Final = "RSDTtXZPI"
_REPORTED: Final = 0x7F
_IDLE: Final = 0x402
"""TASK_IDLE: TASK_UNINTERRUPTIBLE and TASK_NOLOAD."""
_WAITS: Final = 0x1000 | 0x8000
"""TASK_RTLOCK_WAIT and TASK_FROZEN, which are told as if uninterruptible."""
_LONGEST: Final = 14
"""A kernel thread's name that is longer may have been cut: /proc has all of it."""


class Detail(NamedTuple):
    """One process, as its files of /proc say it."""

    identity: bytes
    """The part of its token that `tasks.IDENTITY` is."""
    stat: PidStat
    status: PidStatus
    timed: bool
    """Whether its times are known: those of several threads are `stat`'s to add up."""


def connect(types: Btf) -> int:
    """Return a link to the iterator; raise OSError or FormatError where it cannot be had.

    What it says is right for a reader in the first pid and user namespaces only.
    """
    try:
        types.offset(*_ACCOUNTED.path[0])
        last = _ACCOUNTED
    except FormatError:
        last = _SPARE  # 0 of every process that is told of
    code = programs.copying(types, (*_FIELDS, last), leaders=True)
    return programs.iterate(code, types.function(_ITERATOR), b"cinspect_detail")


def read(link: int) -> dict[int, Detail]:
    """Return what each process says, by pid; raise OSError.

    Left out is what only /proc tells: processes that are ending, in deep pid namespaces, or
    with a name that the kernel makes up anew for each reader.
    """
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    names: dict[bytes, str] = {}
    found: dict[int, Detail] = {}
    for record in _RECORD.iter_unpack(programs.read(link)):
        detail = _detail(record, tick, names)
        if detail is not None:
            found[detail.stat.pid] = detail
    return found


def _detail(record: tuple[Any, ...], tick: int, names: dict[bytes, str]) -> Detail | None:
    """Return what a record says; names that were met are kept in `names`."""
    # fmt: off
    (identity, padded, utime, stime, ran, utime_over, stime_over, ran_over, utime_said, stime_said,
     rss_files, rss_anonymous, rss_shared, inheritable, permitted, effective, bounding, ambient,
     flags_atomic, pid, ppid, state, exit_state, flags, threads, uid, gid, seccomp, level,
     first, second, third, accounted) = record
    # fmt: on
    if flags & _EXITING or exit_state or level > _MOST_LEVELS:
        return None
    name = names.get(padded)
    if name is None:
        name = names[padded] = text.decode(padded.partition(b"\0")[0])
    kernel = bool(flags & _KERNEL_THREAD)
    if kernel and (flags & _WORKQUEUE or not 0 <= padded.find(0) <= _LONGEST):
        return None
    used = _adjusted(
        (utime + utime_over, stime + stime_over), ran + ran_over, (utime_said, stime_said)
    )
    pages = max(rss_files, 0) + max(rss_anonymous, 0) + max(rss_shared, 0)
    # In the order of their fields: by their names it takes twice as long, of thousands.
    stat = PidStat._make((
        pid, name, _state(state), ppid, kernel, used[0] // tick, used[1] // tick, threads,
        int.from_bytes(identity[_START], "little") // tick, 0 if kernel else pages, (),
    ))  # fmt: skip
    status = PidStatus._make((
        uid, gid, (pid, first, second, third)[: level + 1], inheritable, permitted, effective,
        bounding, ambient, bool(flags_atomic & 1), seccomp,
    ))  # fmt: skip
    return Detail(identity, stat, status, threads == 1 and not accounted)


def _state(state: int) -> str:
    """Return the letter of a task's state, as task_state_index() of linux/sched.h finds it."""
    if state & _IDLE == _IDLE:
        return _STATES[-1]
    if state & _WAITS:
        return _STATES[2]
    return _STATES[(state & _REPORTED).bit_length()]


def _adjusted(sampled: tuple[int, int], ran: int, said: tuple[int, int]) -> tuple[int, int]:
    """Return user and system time in nanoseconds, as cputime_adjust() of kernel/sched/cputime.c does.

    What ran is exact; how it divides is sampled at each tick, and neither may go back behind what
    was said of it before.
    """
    utime, stime = sampled
    if sum(said) >= ran:
        return said
    if stime:
        stime = min(stime * ran // (stime + utime), ran)
    stime = max(stime, said[1])
    utime = ran - stime
    if utime < said[0]:
        return said[0], ran - said[0]
    return utime, stime
