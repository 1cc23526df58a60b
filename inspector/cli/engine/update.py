"""`cinspect update`: changes limits of running containers."""

import argparse

from inspector.cli.engine import acting, session
from inspector.cli.engine import options as engine_options
from inspector.controls.actions import Actions, Target
from inspector.errors import WrongUsage
from runtime.types import Resources


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Change limits of running containers, of whichever engine; what is not named stays.",
        "cinspect update --memory 512m --cpus 1.5 web",
        "cinspect update --pids-limit -1 web",
    )
    engine_options.add_resources(parser)
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Do it; return 0, or 1 when any failed."""
    resources = engine_options.resources(args)
    if resources == Resources():
        raise WrongUsage("there is nothing to change: name a limit, as --memory 512m")

    async def act(actions: Actions, target: Target) -> None:
        await actions.update(target, resources)

    return acting.act_on_each(args, act)
