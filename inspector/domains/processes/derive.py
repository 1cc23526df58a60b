"""Processes: whose each is, and how much of a core it used since the sample before."""

from collectors.kernel import processes
from collectors.kernel.namespaces import TYPES
from inspector.domains.processes.model import Process
from inspector.join import Joined
from inspector.sample import Sample, elapsed, rate


def derive(joined: Joined, previous: Sample | None) -> tuple[Process, ...]:
    """Return every process, by pid."""
    reading = joined.sample.get(processes.KEY)
    if reading is None:
        return ()
    earlier = previous.get(processes.KEY) if previous is not None else None
    before = {
        (one.pid, one.start_ticks): one.utime_ticks + one.stime_ticks
        for one in (earlier.processes if earlier else ())
    }
    seconds = elapsed(previous, joined.sample, processes.KEY)
    hertz = reading.ticks_per_second
    result: list[Process] = []
    for raw in sorted(reading.processes, key=lambda process: process.pid):
        used = raw.utime_ticks + raw.stime_ticks
        busy = rate(before.get((raw.pid, raw.start_ticks)), used, seconds)
        inodes = joined.world.members.get(raw.pid)
        result.append(
            Process(
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
                cpu_seconds=used / hertz,
                busy_cores=None if busy is None else busy / hertz,
                rss_bytes=raw.rss_bytes,
            )
        )
    return tuple(result)
