"""`cinspect rm`: removes containers and everything that is theirs."""

import argparse

from inspector.cli import options
from inspector.cli.engine import acting, fifos, session
from inspector.controls.actions import Actions, Target


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Remove containers: shim, cgroups, mounts, layers, log and record. One of Docker or Podman "
        "is removed by its engine.",
        "cinspect rm job",
        "cinspect rm -f $(cinspect ps -aq)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="end it first if it runs")
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Remove them; return 0, or 1 when any failed."""
    options.refuse_read_only(args)
    options.become_root(args)

    async def act(actions: Actions, target: Target) -> None:
        await actions.remove(target, force=args.force)

    status = acting.act_on_each(args, act)
    fifos.sweep(options.settings(args).state)
    return status
