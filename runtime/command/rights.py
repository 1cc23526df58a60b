"""What this user may do: whether rights are lacking, and whose systemd is to be asked."""

import os
from typing import Final

from runtime.command.arguments import Request
from runtime.errors import InvalidArgument
from runtime.linux.idmap import nested

_WORDS: Final = {"": None, "auto": None, "true": True, "1": True, "false": False, "0": False}


def asked(request: Request) -> bool | None:
    """Return what --rootless says; None for auto. Raises `InvalidArgument`."""
    text = request.shared.text("rootless") if request.shared is not None else None
    word = "auto" if text is None else text.lower()
    if word not in _WORDS:
        raise InvalidArgument(f"--rootless: {text!r} is not true, false or auto")
    return _WORDS[word]


def rootless(request: Request) -> bool:
    """Tell whether missing rights are to be expected: no root, or that of a user namespace."""
    wanted = asked(request)
    return (os.geteuid() != 0 or nested()) if wanted is None else wanted


def run_directory() -> str | None:
    """Return a user's own directory for what lasts as long as the session; None for the host's root.

    A rootless engine calls from a user namespace, as its root, with the user's environment.
    """
    own = os.environ.get("XDG_RUNTIME_DIR")
    if not own or (os.geteuid() == 0 and (not nested() or os.environ.get("USER") == "root")):
        return None
    return own


def own_systemd(request: Request) -> bool:
    """Tell whether a user's own systemd makes the cgroups, and not the host's.

    Root of a user namespace may be a user of the host, as below a rootless engine, or root of a
    container that has a systemd of its own: whose /run/systemd it is tells.
    """
    if (wanted := asked(request)) is not None:
        return wanted
    if os.geteuid() != 0:
        return True
    try:
        return nested() and os.stat("/run/systemd").st_uid != 0
    except FileNotFoundError:
        return False
