"""`cinspect create`: makes a container that waits to be started."""

import argparse
import shlex

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import options as engine_options
from inspector.cli.engine import session


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Make a container without starting its command; print its id.",
        "cinspect create --name job @host sh -c 'echo hello; sleep 5'",
        "cinspect start -a job",
    )
    parser.usage = "cinspect create [options] IMAGE [COMMAND [ARG...]]"
    engine_options.engine_errors(parser)
    parser.add_argument("-i", "--interactive", action="store_true", help="keep its stdin open")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")
    engine_options.add_container(parser)


def run(args: argparse.Namespace) -> int:
    """Create it; return 0, or 125."""
    return session.engine_status(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    wanted = engine_options.container_options(args)
    engine = options.runtime(args, acting=True, root=True)
    with session.action_log(args).doing(
        "create", wanted.name or "", how=shlex.join(wanted.command)
    ):
        container = session.execute(engine, engine.create(wanted))
    session.say(container.id)
    return exit_codes.DONE
