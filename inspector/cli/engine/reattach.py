"""`cinspect attach`: gives a running container's streams to this terminal."""

import argparse
from collections.abc import Awaitable, Callable

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import attach, session
from inspector.cli.engine.fifos import Fifos
from runtime.api import Runtime
from runtime.errors import FailedPrecondition
from runtime.types import Stdio


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Give a running container's streams to this terminal; the client that had them sees their "
        "end. Ctrl-p Ctrl-q leaves, and the container goes on. The exit status is its command's.",
        "cinspect attach shell",
        "cinspect attach --no-stdin web",
    )
    parser.add_argument("--no-stdin", action="store_true", help="only look: pass nothing on to it")
    session.add_references(parser, many=False)


def run(args: argparse.Namespace) -> int:
    """Attach; return the command's status."""
    engine = options.runtime(args, acting=True, root=True)
    state = options.settings(args).state
    log = session.action_log(args)

    def attached() -> int:
        with log.doing("attach", args.container):
            return session.execute(engine, _attached(engine, args, state))

    return session.engine_status(attached)


async def _attached(engine: Runtime, args: argparse.Namespace, state: str) -> int:
    container = await engine.container(args.container)

    async def take_over(stdio: Stdio) -> None:
        await engine.attach(container.id, stdio=stdio)

    if not args.no_stdin:
        try:
            return await stay(engine, container.id, state=state, interactive=True, begin=take_over)
        except FailedPrecondition:
            if (await engine.container(container.id)).status not in {"running", "paused"}:
                raise
            # It was started without a stdin, or its stdin was closed: its output is still there.
    return await stay(engine, container.id, state=state, interactive=False, begin=take_over)


async def stay(
    engine: Runtime,
    container_id: str,
    *,
    state: str,
    interactive: bool,
    begin: Callable[[Stdio], Awaitable[object]],
) -> int:
    """Call `begin` with new streams, stay until the container ends; return the exit status."""
    tty = await _has_terminal(engine, container_id)
    attach.flush_standard_streams()
    with (
        Fifos(state, stdin=interactive, stderr=not tty) as fifos,
        attach.raw_terminal(tty=tty, interactive=interactive) as raw,
        attach.Signals(proxy=not raw) as signals,
    ):
        await begin(fifos.stdio)
        process = attach.Process(engine, container_id, tty=tty)
        outcome = await attach.attached(process, fifos, signals)
    if outcome.ending == "abandoned":
        name = (await engine.container(container_id)).name
        options.talk(f"the container takes no notice and goes on: cinspect rm -f {name}")
        return exit_codes.INTERRUPTED
    return outcome.status


async def _has_terminal(engine: Runtime, container_id: str) -> bool:
    match await engine.spec(container_id):
        case {"process": {"terminal": bool(terminal)}}:
            return terminal
        case _:
            return False
