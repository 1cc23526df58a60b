"""`cinspect start`: starts containers that were created, or that have stopped."""

import argparse

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import attach, session
from inspector.cli.engine.fifos import Fifos
from inspector.errors import WrongUsage
from runtime.api import Runtime


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Let created containers run; start stopped ones anew on the layers they left. With -a or "
        "-i the exit status is the command's own.",
        "cinspect start web",
        "cinspect start -ai shell",
    )
    parser.add_argument("-a", "--attach", action="store_true", help="print what it writes, wait")
    parser.add_argument("-i", "--interactive", action="store_true", help="pass stdin on to it")
    session.add_references(parser)


def run(args: argparse.Namespace) -> int:
    """Start them; return 0, or 1 when any failed; attached, the command's status."""
    engine = options.runtime(args, acting=True, root=True)
    log = session.action_log(args)
    if not (args.attach or args.interactive):

        async def start(reference: str) -> None:
            with log.doing("start", reference):
                await engine.start(reference)

        return session.execute(engine, session.for_each(args.containers, start))
    if len(args.containers) > 1:
        raise WrongUsage("only one container can be attached to: name one")
    state = options.settings(args).state
    (reference,) = args.containers

    def attached() -> int:
        work = _attached(engine, reference, state=state, interactive=args.interactive)
        with log.doing("start", reference):
            return session.execute(engine, work)

    return session.engine_status(attached)


async def _attached(engine: Runtime, reference: str, *, state: str, interactive: bool) -> int:
    container = await engine.container(reference)
    tty = await _has_terminal(engine, container.id)
    attach.flush_standard_streams()
    with (
        Fifos(state, stdin=interactive, stderr=not tty) as fifos,
        attach.raw_terminal(tty=tty, interactive=interactive) as raw,
        attach.Signals(proxy=not raw) as signals,
    ):
        await engine.start(container.id, stdio=fifos.stdio)
        process = attach.Process(engine, container.id, tty=tty)
        outcome = await attach.attached(process, fifos, signals)
    if outcome.ending == "abandoned":
        options.talk(f"the container takes no notice and goes on: cinspect rm -f {container.name}")
        return exit_codes.INTERRUPTED
    return outcome.status


async def _has_terminal(engine: Runtime, container_id: str) -> bool:
    match await engine.spec(container_id):
        case {"process": {"terminal": bool(terminal)}}:
            return terminal
        case _:
            return False
