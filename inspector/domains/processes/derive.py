"""Processes: whose each is, and how much of a core it used since the sample before."""

from itertools import pairwise

from collectors.kernel import host, processes
from collectors.kernel.namespaces import TYPES
from collectors.kernel.processes import Process as Raw
from inspector.discovery.world import Inodes
from inspector.domains.processes.model import Process
from inspector.join import Joined
from inspector.memos import Memos
from inspector.sample import Sample, elapsed, rate


class _Rows:
    """The rows of the frame before, each with what it was made from."""

    def __init__(self) -> None:
        self.about: object = None
        self.kept: dict[int, tuple[Raw, Inodes | None, str | None, float | None, Process]] = {}


def derive(
    joined: Joined, previous: Sample | None, memos: Memos | None = None
) -> tuple[Process, ...]:
    """Return every process, by pid."""
    reading = joined.sample.get(processes.KEY)
    if reading is None:
        return ()
    rows = (memos or Memos()).one(_Rows)
    booted = joined.sample.get(host.KEY)
    about = (booted.booted_at if booted else None, reading.ticks_per_second)
    known = rows.kept if rows.about == about else {}
    before = _before(previous)
    seconds = elapsed(previous, joined.sample, processes.KEY)
    hertz = reading.ticks_per_second
    members, owners = joined.world.members, joined.owners
    now: dict[int, tuple[Raw, Inodes | None, str | None, float | None, Process]] = {}
    listed = reading.processes
    if any(one.pid > two.pid for one, two in pairwise(listed)):
        listed = tuple(sorted(listed, key=lambda process: process.pid))
    for raw in listed:
        pid = raw.pid
        then = before.get(pid)
        if then is raw:
            busy = None if seconds is None else 0.0
        elif then is None or then.start_ticks != raw.start_ticks:
            busy = None
        else:
            used = then.utime_ticks + then.stime_ticks
            busy = rate(used, raw.utime_ticks + raw.stime_ticks, seconds)
            busy = None if busy is None else busy / hertz
        inodes, owner = members.get(pid), owners.get(pid)
        kept = known.get(pid)
        if (
            kept is None
            or (kept[0] is not raw and kept[0] != raw)
            or (kept[1] is not inodes and kept[1] != inodes)
            or kept[2] != owner
            or kept[3] != busy
        ):
            kept = (raw, inodes, owner, busy, _process(joined, raw, inodes, busy, hertz=hertz))
        now[pid] = kept
    rows.about, rows.kept = about, now
    return tuple([kept[4] for kept in now.values()])


def _before(previous: Sample | None) -> dict[int, Raw]:
    earlier = previous.get(processes.KEY) if previous is not None else None
    return {one.pid: one for one in earlier.processes} if earlier else {}


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
