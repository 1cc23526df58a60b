"""What this user may do: whether rights are lacking, and whose systemd is to be asked."""

import os
from typing import Final

from runtime.command.arguments import Request
from runtime.errors import InvalidArgument
from runtime.formats import idmap
from runtime.formats.idmap import Extent

_WORDS: Final = {"": None, "auto": None, "true": True, "1": True, "false": False, "0": False}
_WHOLE: Final = Extent(0, 0, (1 << 32) - 1)
"""What the map of the first user namespace says (user_namespaces(7))."""


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


def nested() -> bool:
    """Tell whether this process is in a user namespace other than the first."""
    with open("/proc/self/uid_map", "rb") as file:
        return idmap.parse(file.read()) != (_WHOLE,)


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
