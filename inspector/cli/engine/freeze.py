"""`cinspect freeze`: freezes every process of containers."""

import argparse

from inspector.cli.engine import acting, session
from inspector.controls.actions import Actions, Target


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser, "Freeze every process of containers, of whichever engine.", "cinspect freeze web"
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; return 0, or 1 when any failed."""

    async def act(actions: Actions, target: Target) -> None:
        await actions.freeze(target)

    return acting.act_on_each(args, act)
