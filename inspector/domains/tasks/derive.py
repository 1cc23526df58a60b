"""Sums up what was read of each container's processes."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from collectors.kernel import processes, tasks
from collectors.kernel.processes import Process
from collectors.kernel.tasks import Figures
from inspector.domains.tasks.model import Filesystem, Fullest, Tasks
from inspector.join import Joined

_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "disk_sleep",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}
"""proc_pid_stat(5), state."""


def derive(joined: Joined) -> tuple[Tasks, ...]:
    """Return one for each container with processes, in the containers' order."""
    reading = joined.sample.get(tasks.KEY)
    listed = joined.sample.get(processes.KEY)
    if reading is None:
        return ()
    figures = {one.pid: one for one in reading.figures}
    members: dict[str, list[Process]] = {}
    for process in listed.processes if listed else ():
        owner = joined.owners.get(process.pid)
        if owner is not None:
            members.setdefault(owner, []).append(process)
    return tuple(
        _tasks(entity.id, entity.init.pid if entity.init else 0, members[entity.id], figures)
        for entity in joined.entities
        if entity.id in members
    )


def _tasks(
    container: str, first: int, members: Sequence[Process], figures: dict[int, Figures]
) -> Tasks:
    # A zombie has let go of everything: that it cannot be read is no gap.
    known = [figures.get(one.pid) for one in members if one.state != "Z"]
    init = figures.get(first)
    return Tasks(
        container=container,
        processes=len(members),
        threads=sum(one.threads for one in members),
        states=dict(Counter(_STATES.get(one.state, one.state) for one in members)),
        descriptors=_sum(known, lambda one: one.descriptors),
        sockets=_sum(known, lambda one: one.sockets),
        run_usec=_sum(known, lambda one: one.run_usec),
        wait_usec=_sum(known, lambda one: one.wait_usec),
        timeslices=_sum(known, lambda one: one.timeslices),
        open_files_limit=init.open_files[0] if init and init.open_files else None,
        processes_limit=init.processes[0] if init and init.processes else None,
        fullest=_fullest(one for one in known if one is not None),
        filesystem=next(
            (_filesystem(one.filesystem) for one in known if one and one.filesystem), None
        ),
    )


def _sum(known: Iterable[Figures | None], value: Callable[[Figures], int | None]) -> int | None:
    total = 0
    for one in known:
        said = value(one) if one is not None else None
        if said is None:
            return None
        total += said
    return total


def _filesystem(said: tasks.Filesystem) -> Filesystem:
    return Filesystem(
        size_bytes=said.size_bytes,
        free_bytes=said.free_bytes,
        available_bytes=said.available_bytes,
        inodes=said.inodes,
        inodes_free=said.inodes_free,
    )


def _fullest(known: Iterable[Figures]) -> Fullest | None:
    found: list[tuple[float, Fullest]] = []
    for one in known:
        limit = one.open_files[0] if one.open_files else None
        if one.descriptors is not None and limit:
            found.append((one.descriptors / limit, Fullest(one.pid, one.descriptors, limit)))
    return max(found, key=lambda one: (one[0], -one[1].pid))[1] if found else None
