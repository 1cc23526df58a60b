"""`cinspect wait`: waits until containers end, and prints their exit codes."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import session
from runtime.api import Runtime
from runtime.errors import RuntimeFailure


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser, "Wait until containers end; print the exit code of each.", "cinspect wait job"
    )
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Wait for each in turn; return 0, or 1 when any failed."""
    engine = options.runtime(args)
    return session.execute(engine, _wait(engine, args.containers))


async def _wait(engine: Runtime, references: list[str]) -> int:
    status = exit_codes.DONE
    for reference in references:
        try:
            end = await engine.wait(reference)
        except RuntimeFailure as failure:
            options.talk(str(failure))
            status = exit_codes.FAILED
        else:
            session.say(str(end.code))
    return status
