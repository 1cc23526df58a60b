"""Signals by name or number, as `kill` takes them."""

import argparse
import signal
from typing import Final

PROXIED: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
)
"""What a client without a terminal passes on to the container's process."""
_ALIASES: Final = {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO", "UNUSED": "SYS"}


def parse(value: str) -> int:
    """Return a signal's number: `KILL`, `SIGKILL`, `kill`, `9`, `RTMIN+3`."""
    name = value.upper().removeprefix("SIG")
    if name.isascii() and name.isdigit():
        number = int(name[:4])
        if 0 < number <= signal.SIGRTMAX:
            return number
    elif (found := _by_name(_ALIASES.get(name, name))) is not None:
        return found
    raise argparse.ArgumentTypeError(f"not a signal: {value!r} (say TERM, or 15)")


def name(number: int) -> str:
    """Return a signal's name, `SIGTERM`, or `signal 40` where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _by_name(name: str) -> int | None:
    for base, sign in (("RTMIN+", 1), ("RTMAX-", -1)):
        if name.startswith(base) and name[len(base) :].isdigit():
            found = getattr(signal, f"SIG{base[:-1]}") + sign * int(name[len(base) :][:3])
            return found if signal.SIGRTMIN <= found <= signal.SIGRTMAX else None
    # Docker and kill(1) alike know signals by these names only, not SIG_DFL and the like.
    member = signal.Signals.__members__.get(f"SIG{name}")
    return None if member is None else int(member)
