"""`cinspect diff`: lists what a container changed over its lower layers."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import session
from inspector.output import text


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "List the paths that a container added (A), changed (C) or deleted (D).",
        "cinspect diff web",
    )
    session.add_references(parser, many=False)


def run(args: argparse.Namespace) -> int:
    """Print a path a line, sorted."""
    engine = options.runtime(args)
    changes = session.execute(engine, engine.diff(args.container))
    for change in sorted(changes, key=lambda each: each.path):
        session.say(f"{change.kind} {text.printable(change.path)}")
    return exit_codes.DONE
