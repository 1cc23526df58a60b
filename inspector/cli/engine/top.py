"""`cinspect top`: lists the processes of a container, as the host and as the container count them."""

import argparse

from collectors.kernel import processes
from collectors.root import Root
from inspector import exit_codes, units
from inspector.cli import options
from inspector.cli.engine import acting, ps, session
from inspector.controls.actions import Actions

_TITLES = ("PID", "INSIDE", "PPID", "UID", "STATE", "THREADS", "CPU", "RSS", "COMMAND")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "List the processes of a running container, of any engine: PID is the host's, INSIDE is the container's "
        "own number of it, CPU is the time it has used.",
        "cinspect top web",
    )
    session.add_references(parser, many=False)


def run(args: argparse.Namespace) -> int:
    """Print a process a line, by pid."""
    actions = acting.looking(args)
    pids = session.execute(actions.engine, _pids(args, actions))
    reading = processes.read(Root(options.settings(args).host_root))
    wanted = frozenset(pids)
    rows = [row(each, reading.ticks_per_second) for each in reading.processes if each.pid in wanted]
    for line in ps.table([_TITLES, *rows]):
        session.say(line)
    return exit_codes.DONE


async def _pids(args: argparse.Namespace, actions: Actions) -> tuple[int, ...]:
    target = await acting.find(args, actions, args.container)
    if target.container is None:
        return await actions.engine.processes(target.id)
    return target.container.pids


def row(process: processes.Process, ticks_per_second: int) -> tuple[str, ...]:
    """Return one process's cells."""
    seconds = (process.utime_ticks + process.stime_ticks) / ticks_per_second
    return (
        str(process.pid),
        str(process.namespace_pids[-1]) if process.namespace_pids else "?",
        str(process.ppid),
        str(process.uid),
        process.state,
        str(process.threads),
        f"{seconds:.2f}s",
        units.size(process.rss_bytes),
        " ".join(process.command) or f"[{process.comm}]",
    )
