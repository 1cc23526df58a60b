"""`cinspect demo`: starts or stops the demo container, without the dashboard."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import session
from inspector.demo import container


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Start the demo container: it uses processor and memory in waves, runs into its limits, "
        "changes and deletes files of the layer below, and forks children. Nothing of it stays.",
        "cinspect demo start && cinspect dump --container demo --pretty",
        "cinspect demo stop",
    )
    parser.add_argument("what", choices=("start", "stop"))


def run(args: argparse.Namespace) -> int:
    """Start it and print its id, or remove it; return 0."""
    engine = options.runtime(args, acting=True, root=True)
    if args.what == "start":
        found, _ = session.execute(engine, container.start(engine, options.talk))
        session.say(found.id)
    elif not session.execute(engine, container.remove(engine)):
        options.talk("there is no demo container")
    return exit_codes.DONE
