"""What a shim has to say goes to its log, which may be full or gone, and never stops it."""

from __future__ import annotations

import contextlib
import os
import sys

TYPE_CHECKING = False


def say(text: str) -> None:
    """Write a line to the shim's log."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))


def say_failure() -> None:
    """Write the traceback of the exception being handled."""
    import traceback  # noqa: PLC0415  # five modules that a shim seldom needs

    say(traceback.format_exc())


def say_stack() -> None:
    """Write where the shim is now."""
    import traceback  # noqa: PLC0415  # five modules that a shim seldom needs

    say("".join(traceback.format_stack()))


def log_to(path: str) -> None:
    """Send what is said to a file, or to the FIFO that containerd reads."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stderr = sys.__stderr__
