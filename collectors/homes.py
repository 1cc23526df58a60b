"""Finds the home directories of the users that may run containers of their own."""

import contextlib
import errno
import os
import pwd
from collections.abc import Iterator, Mapping

from msgspec import Struct

_MOST_BYTES = 32 << 20


class Home(Struct, frozen=True):
    """A user's directory; files of somebody else's in it are not theirs to tell of containers."""

    uid: int
    path: str
    data: str
    """Where programs keep a user's data (XDG base directory specification)."""


def homes(environment: Mapping[str, str], users: str = "/run/user") -> Iterator[Home]:
    """Yield the own user's home, and those of everybody with a session or lingering services."""
    own = os.getuid()
    uids = [own]
    # Without logind there is nobody else's session.
    with contextlib.suppress(OSError):
        uids += [int(name) for name in sorted(os.listdir(users)) if name.isdecimal()]
    for uid in dict.fromkeys(uids):
        home = environment.get("HOME", "") if uid == own else _home(uid)
        data = environment.get("XDG_DATA_HOME", "") if uid == own else ""
        if home.startswith("/") or data.startswith("/"):
            yield Home(uid, home, data if data.startswith("/") else f"{home}/.local/share")


def read_owned(path: str, uid: int) -> bytes:
    """Return a regular file's bytes if it belongs to this user or to root; else raise OSError.

    Who reads as root what a user wrote must not be made to wait, or to read another's file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(path, flags), "rb") as file:
        said = os.fstat(file.fileno())
        if said.st_uid not in {uid, 0}:
            reason = f"it belongs to uid {said.st_uid}, not to {uid}"
            raise PermissionError(errno.EACCES, reason, path)
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_MOST_BYTES >> 20} MiB", path)
    return data


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return ""
