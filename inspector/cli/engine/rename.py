"""`cinspect rename`: gives a container another name."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(parser, "Give a container another name.", "cinspect rename web web-old")
    session.add_references(parser, many=False)
    parser.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Rename it; return 0."""
    engine = options.runtime(args, acting=True, root=True)
    with session.action_log(args).doing("rename", args.container, how=args.name):
        session.execute(engine, engine.rename(args.container, args.name))
    return exit_codes.DONE
