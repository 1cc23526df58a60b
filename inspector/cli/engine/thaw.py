"""`cinspect thaw`: lets frozen containers go on."""

import argparse

from inspector.cli.engine import acting, session
from inspector.controls.actions import Actions, Target


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(parser, "Let frozen containers go on.", "cinspect thaw web")
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; return 0, or 1 when any failed."""

    async def act(actions: Actions, target: Target) -> None:
        await actions.thaw(target)

    return acting.act_on_each(args, act)
