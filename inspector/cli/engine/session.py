"""What the verbs share when they run: the event loop, one line a failure, Docker's exit statuses."""

import argparse
import asyncio
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, cast

from inspector import exit_codes
from inspector.cli import options
from inspector.cli.engine.attach import Interrupted, NoTerminal
from inspector.controls.action_log import ActionLog
from inspector.errors import Failure
from runtime.api import Runtime
from runtime.errors import CommandNotExecutable, CommandNotFound, RuntimeFailure

T = TypeVar("T")
_WIDTH: Final = 79


def execute(engine: Runtime, work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a new event loop, then let go of the engine.

    Of a group of failures the first one is raised.
    """
    try:
        return asyncio.run(_and_close(engine, work))
    except BaseExceptionGroup as group:
        raise _first(group) from group


async def for_each(references: Sequence[str], action: Callable[[str], Awaitable[None]]) -> int:
    """Act on one after the other; print each that worked, say of each that failed why.

    Return 0, or 1 when any failed.
    """
    status = exit_codes.DONE
    for reference in references:
        try:
            await action(reference)
        except (RuntimeFailure, Failure) as failure:
            options.talk(str(failure))
            status = exit_codes.FAILED
        else:
            say(reference)
    return status


def engine_status(work: Callable[[], int]) -> int:
    """Run `run`'s or `exec`'s work; a failure of the engine's is said and becomes 125, 126 or 127."""
    _fill_standard_descriptors()
    try:
        return work()
    except (NoTerminal, Interrupted) as failure:
        options.talk(str(failure))
        return failure.status
    except Failure as failure:
        options.talk(str(failure))
        return exit_codes.ENGINE_FAILED
    except RuntimeFailure as failure:
        options.talk(str(failure))
        return failure_status(failure)


def failure_status(failure: RuntimeFailure) -> int:
    """Return the exit status that Docker has for a failure to start a command."""
    match failure:
        case CommandNotFound():
            return exit_codes.NOT_FOUND
        case CommandNotExecutable():
            return exit_codes.NOT_EXECUTABLE
        case _:
            return exit_codes.ENGINE_FAILED


def action_log(args: argparse.Namespace) -> ActionLog:
    """Return the log that every action is written to."""
    return ActionLog.below(options.settings(args).root)


def say(line: str) -> None:
    """Print one line of data."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def add_references(parser: argparse.ArgumentParser, *, many: bool = True) -> None:
    """Add the positional that names containers: one, or one and more."""
    if many:
        parser.add_argument(
            "containers", metavar="CONTAINER", nargs="+", help="a name, an id, its beginning"
        )
    else:
        parser.add_argument("container", metavar="CONTAINER", help="a name, an id, its beginning")


def describe(parser: argparse.ArgumentParser, description: str, *examples: str) -> None:
    """Set a verb's description and examples."""
    parser.description = textwrap.fill(description, _WIDTH)
    if examples:
        parser.epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples)


def _fill_standard_descriptors() -> None:
    """Open the null device where a standard stream was closed: no file of ours may get its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            if descriptor:  # the interpreter has None there
                stream = os.fdopen(descriptor, "w", closefd=False)
                setattr(sys, ("stdout", "stderr")[descriptor - 1], stream)


async def _and_close(engine: Runtime, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        await engine.close()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(cast("BaseExceptionGroup[BaseException]", first)) if _is_group(first) else first


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)
