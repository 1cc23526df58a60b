"""`cinspect start`: starts containers that were created, or that have stopped."""

import argparse

from inspector.cli import options
from inspector.cli.engine import session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Let created containers run; start stopped ones anew on the layers they left.",
        "cinspect start web",
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Start them; return 0, or 1 when any failed."""
    engine = options.runtime(args, acting=True, root=True)

    async def start(reference: str) -> None:
        await engine.start(reference)

    return session.execute(engine, session.for_each(args.containers, start))
