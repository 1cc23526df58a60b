"""`cinspect kill`: sends a signal to the first process of containers."""

import argparse
import signal

from inspector.cli.engine import acting, session, signals
from inspector.controls.actions import Actions, Target


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Send a signal to the first process of containers, of whichever engine. As pid 1 of its "
        "pid namespace it hears only signals it has a handler for, and KILL and STOP.",
        "cinspect kill web",
        "cinspect kill -s HUP web",
    )
    parser.add_argument(
        "-s",
        "--signal",
        metavar="SIGNAL",
        type=signals.parse,
        default=int(signal.SIGKILL),
        help="a name or a number (KILL)",
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; return 0, or 1 when any failed."""

    async def act(actions: Actions, target: Target) -> None:
        await actions.kill(target, args.signal)

    return acting.act_on_each(args, act)
