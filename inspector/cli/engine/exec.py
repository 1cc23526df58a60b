"""`cinspect exec`: runs one more command in a running container."""

import argparse
import shlex

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import acting, attach, foreign_exec, session, terminal
from inspector.cli.engine import options as engine_options
from inspector.cli.engine.fifos import Fifos
from inspector.controls.actions import Actions, Target
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
    parser.usage = "cinspect exec [options] CONTAINER COMMAND [ARG...]"
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
        console_size=terminal.size(0, 1, 2) if args.tty else None,
    )
    acts = acting.actions(args)
    options.become_root(args)
    if not args.detach:
        attach.check_terminal(tty=wanted.tty, interactive=wanted.interactive)
    work = _in_embedded(args, acts, wanted)
    found = session.execute(acts.engine, work)
    if isinstance(found, int):
        return found
    flags = {"tty": wanted.tty, "interactive": wanted.interactive, "detach": args.detach}
    return foreign_exec.run(acts.enter(found, wanted), **flags)


async def _in_embedded(
    args: argparse.Namespace, acts: Actions, wanted: ExecOptions
) -> int | Target:
    """Run it in a container of ours and return its status, or return whose else it is."""
    target = await acting.find(args, acts, args.container)
    if target.container is not None:
        return target
    acts.log.record(
        "exec", target.id, engine=target.engine, how=shlex.join(wanted.command), error=None
    )
    if args.detach:
        return await _detached(acts.engine, target.id, wanted)
    return await _foreground(acts.engine, target.id, wanted, state=options.settings(args).state)


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
