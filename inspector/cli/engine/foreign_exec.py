"""Runs a command in a container that the embedded engine did not make, on the caller's streams."""

import asyncio
import contextlib
import os
import pty
import subprocess
import termios
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from inspector import exit_codes
from inspector.cli.engine import attach, terminal
from inspector.cli.engine.streams import Output, copy_input


def run(argv: Sequence[str], *, tty: bool, interactive: bool, detach: bool) -> int:  # noqa: RET503 - it ends in execv
    """Run it; return its exit status. Without a terminal this process becomes it."""
    if detach:
        with open(os.devnull, "r+b") as null:
            subprocess.Popen(
                argv,
                stdin=null,
                stdout=null,
                stderr=null,
                start_new_session=True,
                close_fds=False,
            )
        return exit_codes.DONE
    if tty:
        with attach.raw_terminal(tty=True, interactive=interactive):
            return asyncio.run(_on_terminal(argv, interactive=interactive))
    _become(argv, interactive=interactive)


def _become(argv: Sequence[str], *, interactive: bool) -> NoReturn:
    """Replace this process: streams, signals and the exit status are then the command's own."""
    attach.flush_standard_streams()
    if not interactive:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
    os.execv(argv[0], [*argv])  # noqa: S606 - no shell is wanted


async def _on_terminal(argv: Sequence[str], *, interactive: bool) -> int:
    """Run it on a terminal of its own.

    Not on ours: what runs in a container could put characters into it for our shell to read
    (TIOCSTI), and would keep it after it ended.
    """
    master, slave = pty.openpty()
    try:
        _resize(master)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=slave, stdout=slave, stderr=slave, close_fds=False
        )
        os.close(slave)
        os.set_blocking(master, False)
        return await _relay(process, master, interactive=interactive)
    finally:
        os.close(master)  # if it still runs, this hangs up on it


async def _relay(process: asyncio.subprocess.Process, master: int, *, interactive: bool) -> int:
    """Copy both ways until the process has ended; return its exit status."""
    output = Output(master, 1)
    with attach.cancelling(resized=partial(_resize, master)):
        async with asyncio.TaskGroup() as group:
            copying = group.create_task(_copy(output))
            typing = group.create_task(copy_input(0, master)) if interactive else copying
            status = await process.wait()
            output.process_ended()
            await asyncio.wait({copying})
            typing.cancel()
    return status if status >= 0 else 128 - status


async def _copy(output: Output) -> None:
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
        await output.copy()


def _resize(master: int) -> None:
    found = terminal.size(0, 1, 2)
    if found is not None:
        termios.tcsetwinsize(master, (found[1], found[0]))
