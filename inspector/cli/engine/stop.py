"""`cinspect stop`: ends containers, gently at first."""

import argparse

from inspector.cli import options
from inspector.cli.engine import session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Send SIGTERM, and SIGKILL when the time has passed. A frozen container is thawed.",
        "cinspect stop web",
        "cinspect stop -t 1 web db",
    )
    parser.add_argument(
        "-t",
        "--time",
        "--timeout",
        metavar="SECONDS",
        type=options.duration,
        default=10.0,
        help="how long to wait before SIGKILL (10)",
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Stop them; return 0, or 1 when any failed."""
    engine = options.runtime(args, acting=True, root=True)

    log = session.action_log(args)

    async def stop(reference: str) -> None:
        with log.doing("stop", reference):
            await engine.stop(reference, timeout_seconds=args.time)

    return session.execute(engine, session.for_each(args.containers, stop))
