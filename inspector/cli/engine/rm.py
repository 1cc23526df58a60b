"""`cinspect rm`: removes containers and everything that is theirs."""

import argparse

from inspector.cli import options
from inspector.cli.engine import fifos, session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Remove containers: shim, cgroups, mounts, layers, log and record.",
        "cinspect rm job",
        "cinspect rm -f $(cinspect ps -aq)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="end it first if it runs")
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Remove them; return 0, or 1 when any failed."""
    engine = options.runtime(args, acting=True, root=True)

    async def remove(reference: str) -> None:
        await engine.remove(reference, force=args.force)

    status = session.execute(engine, session.for_each(args.containers, remove))
    fifos.sweep(options.settings(args).state)
    return status
