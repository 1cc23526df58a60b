"""`cinspect run`: makes a container, starts its command, and stays with it unless told to detach."""

import argparse
import contextlib
import shlex

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine import attach, session
from inspector.cli.engine import options as engine_options
from inspector.cli.engine.fifos import Fifos
from runtime.api import Runtime
from runtime.errors import NotFound
from runtime.types import ContainerOptions


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    session.describe(
        parser,
        "Make a container and start a command in it. The exit status is the command's own; 125 "
        "when the engine failed, 126 when the command cannot be run, 127 when it is not there, "
        "128+N when signal N ended it. Ctrl-p Ctrl-q leaves a terminal; the container goes on.",
        "cinspect run --rm -it @host bash",
        "cinspect run -d --name web --memory 256m --cpus 0.5 @host python3 -m http.server",
        "tar c . | cinspect run --rm -i @host tar t",
        "cinspect run --rm --rootfs ./alpine /bin/sh -c 'cat /etc/os-release'",
    )
    parser.usage = "cinspect run [options] IMAGE [COMMAND [ARG...]]"
    engine_options.engine_errors(parser)
    engine_options.add_streams(parser)
    engine_options.add_container(parser)


def run(args: argparse.Namespace) -> int:
    """Run it; return the command's exit status."""
    return session.engine_status(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    wanted = engine_options.container_options(args)
    engine = options.runtime(args, acting=True, root=True)
    if not args.detach:
        attach.check_terminal(tty=wanted.tty, interactive=wanted.interactive)
    log, state = session.action_log(args), options.settings(args).state
    with log.doing("run", wanted.name or "", how=shlex.join(wanted.command)):
        work = _detached(engine, wanted) if args.detach else _foreground(engine, wanted, state)
        return session.execute(engine, work)


async def _detached(engine: Runtime, wanted: ContainerOptions) -> int:
    container = await engine.create(wanted)
    await _start(engine, container.id)
    session.say(container.id)
    return exit_codes.DONE


async def _foreground(engine: Runtime, wanted: ContainerOptions, state: str) -> int:
    attach.flush_standard_streams()
    with (
        Fifos(state, stdin=wanted.interactive, stderr=not wanted.tty) as fifos,
        attach.raw_terminal(tty=wanted.tty, interactive=wanted.interactive) as raw,
        attach.Signals(proxy=not raw) as signals,
    ):
        container = await engine.create(wanted, stdio=fifos.stdio)
        process = attach.Process(engine, container.id, tty=wanted.tty)
        await process.resize()
        await _start(engine, container.id)
        outcome = await attach.attached(process, fifos, signals)
    if wanted.auto_remove and outcome.ending != "detached":
        await _remove(engine, container.id)
    elif outcome.ending == "abandoned":
        options.talk(f"the container takes no notice and goes on: cinspect rm -f {container.name}")
    return outcome.status


async def _start(engine: Runtime, container_id: str) -> None:
    """Start a container just made; if that fails or is cancelled it is removed again."""
    try:
        await engine.start(container_id)
    except BaseException:
        await _remove(engine, container_id)
        raise


async def _remove(engine: Runtime, container_id: str) -> None:
    with contextlib.suppress(NotFound):  # its shim may have been as quick
        await engine.remove(container_id, force=True)
