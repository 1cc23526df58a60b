"""The child's side of a clone: run the steps, report the one that failed, never return."""

import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from runtime.errors import (
    CommandNotExecutable,
    CommandNotFound,
    Internal,
    RuntimeFailure,
)
from runtime.init import signals
from runtime.init.step import Child, Step, explain

_MAX_REPORT = 32 << 10


def main(steps: Sequence[Step], state: Child, *, close: socket.socket | None) -> NoReturn:
    """Become the command, or say why not and exit: 127 without a command, 126 if it cannot run."""
    status = 1
    step: Step | None = None
    try:
        if close is not None:
            close.close()
        # Nothing is loaded from here on: it would be looked for among the container's files.
        sys.meta_path.clear()
        os.umask(0)
        signals.reset(state.ignored)
        for step in steps:
            step.execute(state)
    except BaseException as error:  # noqa: BLE001 - past it lies the parent's code, in a copy of it
        status = 127 if isinstance(error, CommandNotFound) else 126
        report(state, step, error)
    finally:
        os._exit(status)


def report(state: Child, step: Step | None, error: BaseException) -> None:
    """Tell the parent which step failed, and how."""
    if isinstance(error, CommandNotFound | CommandNotExecutable):
        message = str(error)
    else:
        message = words(step.describe() if step is not None else "begin", error)
    kind = type(error).__name__ if isinstance(error, RuntimeFailure) else Internal.__name__
    tell(state, kind, message)


def words(what: str, error: BaseException) -> str:
    """Return one line on what went wrong; of an error that nobody expected, its type too."""
    if isinstance(error, OSError | RuntimeFailure):
        return explain(what, error)
    return f"{what}: {type(error).__name__}: {error}"


def tell(state: Child, kind: str, message: str) -> None:
    """Report a failure to whoever listens; `kind` is the name of an error class."""
    data = json.dumps({"kind": kind, "message": message[:_MAX_REPORT]})
    try:
        os.write(state.report, data.encode())
    except OSError:
        return  # the parent is gone: nobody is left to be told
