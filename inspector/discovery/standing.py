"""Processes without their counters: what discovery goes by, the same objects while it stays so."""

from collections.abc import Iterable

from collectors.kernel.processes import Process
from inspector.discovery.world import ENDED


class Standings:
    """For each process the first record that told of it what the newest one does, but for counters."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Process, Process]] = {}
        """By pid: the newest record, and the first of those that tell the same."""

    def of(self, listed: Iterable[Process]) -> tuple[Process, ...]:
        """Return them in the order of the processes."""
        before, now = self._kept, {}
        standing: list[Process] = []
        for process in listed:
            kept = before.get(process.pid)
            if kept is None or (kept[0] is not process and not alike(kept[1], process)):
                kept = (process, process)
            elif kept[0] is not process:
                kept = (process, kept[1])
            now[process.pid] = kept
            standing.append(kept[1])
        self._kept = now
        return tuple(standing)


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
