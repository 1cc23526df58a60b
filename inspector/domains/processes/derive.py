"""Processes: whose each is, and how much of a core it used since the sample before."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from collectors.kernel import processes
from collectors.kernel.namespaces import TYPES
from collectors.kernel.processes import Process as Raw
from inspector.discovery.world import Inodes
from inspector.domains.processes.model import Process
from inspector.join import Joined, Structure
from inspector.memos import Memos
from inspector.sample import Sample, elapsed, rate


class _Row(NamedTuple):
    """A row, and what it was made from."""

    raw: Raw
    inodes: Inodes | None
    owner: str | None
    busy: float | None
    row: Process


class _Rows:
    """Those of the frame before."""

    def __init__(self) -> None:
        self.about: object = None
        self.frame = 0
        self.structure: Structure | None = None
        self.kept: dict[int, _Row] = {}
        self.shown: dict[int, Process] = {}
        """By pid, in their order."""
        self.moving: set[int] = set()
        """Those that have run, or may have."""


def derive(
    joined: Joined, previous: Sample | None, memos: Memos | None = None
) -> tuple[Process, ...]:
    """Return every process, by pid."""
    reading = joined.sample.get(processes.KEY)
    if reading is None:
        return ()
    memos = memos or Memos()
    rows = memos.one(_Rows)
    seconds = elapsed(previous, joined.sample, processes.KEY)
    about = (joined.clock(), reading.ticks_per_second, seconds is None)
    resting = None if seconds is None else 0.0
    if rows.about != about:
        rows.kept = {}
    before = joined.earlier(previous)
    touched = (
        _touched(rows, joined, before) if rows.frame == memos.frame - 1 and rows.kept else None
    )
    rows.about, rows.frame, rows.structure = about, memos.frame, joined.structure
    if touched is None:
        known, rows.kept, rows.shown, rows.moving = rows.kept, {}, {}, set()
        pids: Iterable[int] = sorted(joined.roll.newest)
    else:
        known, pids = rows.kept, touched
        rows.moving = set()
    for pid in pids:
        raw = joined.roll.newest[pid]
        busy = _busy(before.get(pid), raw, seconds, hertz=reading.ticks_per_second)
        kept = _row(joined, known.get(pid), raw, busy, hertz=reading.ticks_per_second)
        if busy != resting:
            rows.moving.add(pid)
        rows.kept[pid] = kept
        rows.shown[pid] = kept.row
    return tuple(rows.shown.values())


def _touched(rows: _Rows, joined: Joined, before: Mapping[int, Raw]) -> Collection[int] | None:
    """Return those whose rows may be others, and forget those that went; None: any may."""
    roll, structure = joined.roll, joined.structure
    if roll.before is None or roll.before.newest is not before:
        return None
    change = structure.change
    if structure is not rows.structure:
        last = rows.structure
        if change is None or last is None or last.shape is not structure.shape:
            return None
        if change.since is not last.census:
            return None
    born = sorted(one.pid for one in roll.born)
    if born and rows.shown and born[0] < next(reversed(rows.shown)):
        return None
    for one in roll.gone:
        del rows.kept[one.pid], rows.shown[one.pid]
        rows.moving.discard(one.pid)
    # What has run before, and no more, uses 0 of a core now.
    return [*(rows.moving | set(roll.changed)), *born]


def _busy(then: Raw | None, raw: Raw, seconds: float | None, *, hertz: int) -> float | None:
    """Return how much of a core it used."""
    if then is raw:
        return None if seconds is None else 0.0
    if then is None or then.start_ticks != raw.start_ticks:
        return None
    used = then.utime_ticks + then.stime_ticks
    busy = rate(used, raw.utime_ticks + raw.stime_ticks, seconds)
    return None if busy is None else busy / hertz


def _row(joined: Joined, kept: _Row | None, raw: Raw, busy: float | None, *, hertz: int) -> _Row:
    inodes, owner = joined.world.members.get(raw.pid), joined.owners.get(raw.pid)
    if (
        kept is None
        or (kept.raw is not raw and kept.raw != raw)
        or (kept.inodes is not inodes and kept.inodes != inodes)
        or kept.owner != owner
        or kept.busy != busy
    ):
        return _Row(raw, inodes, owner, busy, _process(joined, raw, inodes, busy, hertz=hertz))
    return kept


def _process(
    joined: Joined, raw: Raw, inodes: Inodes | None, busy: float | None, *, hertz: int
) -> Process:
    return Process(
        pid=raw.pid,
        ppid=raw.ppid,
        namespace_pids=raw.namespace_pids,
        uid=raw.uid,
        comm=raw.comm,
        command=raw.command,
        state=raw.state,
        started_at=joined.started_at(raw),
        cgroups={
            controller: entry.path
            for entry in raw.cgroups
            for controller in (entry.controllers or ("",))
        },
        namespaces=dict(zip(TYPES, inodes, strict=True)) if inodes else {},
        container=joined.owners.get(raw.pid),
        threads=raw.threads,
        cpu_seconds=(raw.utime_ticks + raw.stime_ticks) / hertz,
        busy_cores=busy,
        rss_bytes=raw.rss_bytes,
    )
