"""Processes without their counters: what discovery goes by, the same objects while it stays so."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.kernel.processes import Process
from inspector.discovery.world import ENDED
from inspector.sample import differing


@dataclass(frozen=True, slots=True, eq=False)
class Roll:
    """The processes of one frame by pid, and how they differ from those of the frame before."""

    listed: Sequence[Process]
    newest: Mapping[int, Process]
    standing: Mapping[int, Process]
    """For each the first record that told of it what the newest one does, but for counters.

    The same object as in the frame before while that is so of all, and nobody came or went.
    """
    before: "Roll | None" = None
    """Without its own; None where it is not told how they differ from it."""
    changed: Collection[int] = ()
    """Those that were there, of which there is another record."""
    altered: bool = False
    """Whether what another record tells differs in more than counters."""
    born: Sequence[Process] = ()
    gone: Sequence[Process] = field(default=())
    """These two as they stand."""


class Standings:
    """Takes the processes of frame after frame."""

    def __init__(self) -> None:
        self._last: Roll | None = None

    def of(self, listed: Sequence[Process]) -> Roll:
        """Return them, each where it stands."""
        last = self._last
        places = differing(last.listed, listed) if last is not None else None
        if last is None:
            roll = _first(listed)
        elif places is None or any(listed[at].pid != last.listed[at].pid for at in places):
            roll = _turned_over(last, listed)
        else:
            roll = _stayed(last, listed, [listed[at] for at in places])
        # What is only a pid's newest record would hide the others.
        whole = len(roll.newest) == len(listed)
        self._last = Roll(listed, roll.newest, roll.standing) if whole else None
        return roll if whole else _first(listed)


def _first(listed: Sequence[Process]) -> Roll:
    newest = {process.pid: process for process in listed}
    return Roll(listed, newest, newest)


def _stayed(last: Roll, listed: Sequence[Process], others: Sequence[Process]) -> Roll:
    """Return them where the same ones are in the same order, of whom some have another record."""
    newest = {**last.newest, **{one.pid: one for one in others}} if others else last.newest
    altered = [one for one in others if not alike(last.standing[one.pid], one)]
    standing = {**last.standing, **{one.pid: one for one in altered}} if altered else last.standing
    changed = [one.pid for one in others]
    return Roll(listed, newest, standing, last, changed=changed, altered=bool(altered))


def _turned_over(last: Roll, listed: Sequence[Process]) -> Roll:
    newest = {process.pid: process for process in listed}
    known = set(map(id, last.listed))
    others = [process for process in listed if id(process) not in known]
    born = [one for one in others if one.pid not in last.newest]
    changed = [one for one in others if one.pid in last.newest]
    altered = {one.pid: one for one in changed if not alike(last.standing[one.pid], one)}
    gone = [one for pid, one in last.standing.items() if pid not in newest]
    kept = last.standing
    standing = {
        pid: altered.get(pid, one) if (one := kept.get(pid)) is not None else process
        for pid, process in newest.items()
    }
    return Roll(
        listed,
        newest,
        standing,
        last,
        changed=[one.pid for one in changed],
        altered=bool(altered),
        born=born,
        gone=gone,
    )


def alike(one: Process, other: Process) -> bool:
    """Return whether two records differ in nothing but counters, and in a state that is not the end."""
    return (
        one.pid == other.pid
        and one.start_ticks == other.start_ticks
        and one.ppid == other.ppid
        and (one.comm == other.comm or (_works(one) and _works(other)))
        and (one.state in ENDED) == (other.state in ENDED)
        and one.cgroups == other.cgroups
        and one.command == other.command
        and one.namespace_pids == other.namespace_pids
        and one.uid == other.uid
        and one.gid == other.gid
        and one.kernel_thread == other.kernel_thread
        and one.cap_effective == other.cap_effective
        and one.cap_permitted == other.cap_permitted
        and one.cap_inheritable == other.cap_inheritable
        and one.cap_bounding == other.cap_bounding
        and one.cap_ambient == other.cap_ambient
        and one.no_new_privs == other.no_new_privs
        and one.seccomp == other.seccomp
    )


def _works(process: Process) -> bool:
    """Return whether it is a worker of the kernel's, called after what it does just now (wq_worker_comm)."""
    return process.kernel_thread and process.comm.startswith("kworker/")
