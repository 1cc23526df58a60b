"""`cinspect start`: starts containers that were created, or that have stopped."""

import argparse

from inspector.cli import options
from inspector.cli.engine import reattach, session
from inspector.errors import WrongUsage
from runtime.api import Runtime
from runtime.types import Stdio


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

    async def begin(stdio: Stdio) -> None:
        await engine.start(container.id, stdio=stdio)

    return await reattach.stay(
        engine, container.id, state=state, interactive=interactive, begin=begin
    )
