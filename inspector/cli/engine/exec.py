"""`cinspect exec`: runs one more command in a running container."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import attach, session
from inspector.cli.engine import options as engine_options
from inspector.cli.engine.fifos import Fifos
from inspector.errors import WrongUsage
from runtime.api import Runtime
from runtime.types import ExecOptions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Run a command in a running container, of whichever engine. The exit status is the "
        "command's own; 125 when that failed, 126 and 127 as for run.",
        "cinspect exec web ps aux",
        "cinspect exec -it web sh",
        "cinspect exec -i db psql < dump.sql",
    )
    engine_options.engine_errors(parser)
    engine_options.add_streams(parser)
    engine_options.add_process(parser)
    parser.add_argument("container", metavar="CONTAINER", help="a name, an id, its beginning")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="COMMAND [ARG...]")


def run(args: argparse.Namespace) -> int:
    """Run it; return the command's exit status."""
    return session.engine_status(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    command = engine_options.command_words(args.rest)
    if not command:
        raise WrongUsage("there is no command: say cinspect exec CONTAINER COMMAND")
    wanted = ExecOptions(
        command=command,
        env=engine_options.environment(args.env, args.env_file, tty=args.tty),
        workdir=engine_options.workdir(args.workdir),
        user=args.user,
        tty=args.tty,
        interactive=args.interactive,
    )
    engine = options.runtime(args, acting=True, root=True)
    if args.detach:
        return session.execute(_detached(engine, args.container, wanted))
    attach.check_terminal(tty=wanted.tty, interactive=wanted.interactive)
    state = options.settings(args).state
    return session.execute(_foreground(engine, args.container, wanted, state=state))


async def _detached(engine: Runtime, reference: str, wanted: ExecOptions) -> int:
    await engine.exec(reference, wanted)
    return exit_codes.DONE


async def _foreground(engine: Runtime, reference: str, wanted: ExecOptions, *, state: str) -> int:
    attach.flush_standard_streams()
    with (
        Fifos(state, stdin=wanted.interactive, stderr=not wanted.tty) as fifos,
        attach.raw_terminal(tty=wanted.tty, interactive=wanted.interactive) as raw,
        attach.Signals(proxy=not raw) as signals,
    ):
        exec_id = await engine.exec(reference, wanted, stdio=fifos.stdio)
        process = attach.Process(engine, reference, exec_id, tty=wanted.tty)
        outcome = await attach.attached(process, fifos, signals)
    if outcome.ending == "exited":
        await engine.delete_exec(reference, exec_id)
    elif outcome.ending == "abandoned":
        options.talk(f"the command takes no notice and goes on in {reference}")
    return outcome.status
