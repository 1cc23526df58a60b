"""Goes on as root of a user namespace, where a user without rights makes containers.

user_namespaces(7): the user's own id is root's there, and what /etc/subuid and /etc/subgid give are the
ids from 1 on. Containers keep the namespaces that their shim was started in; whoever comes later makes
new ones of the same ids, by which every file is whose it was.
"""

import contextlib
import os
import pwd
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from runtime.errors import FailedPrecondition, PermissionDenied, RuntimeFailure
from runtime.formats.idmap import Extent
from runtime.linux import constants, idmap, syscalls

NEEDED_IDS: Final = 65536
"""As many as a container's own root file system can have of users (podman(1), "Rootless mode")."""


def again_as_root(arguments: Sequence[str]) -> NoReturn:
    """Execute this program once more as root of new namespaces, with `arguments` put before its own.

    Only for a process without threads. Raises `PermissionDenied` saying what the user lacks; then
    nothing has changed.
    """
    uids = _extents("/etc/subuid", os.geteuid())
    gids = _extents("/etc/subgid", os.getegid())
    count = len(sys.orig_argv) - len(sys.argv) + 1
    command = [*sys.orig_argv[:count], *arguments, *sys.argv[1:]]
    _enter(uids, gids)
    os.execv(sys.executable, command)  # noqa: S606 - the same program


def _extents(path: str, own: int) -> tuple[Extent, Extent]:
    """Return a user's map: the own id, and the first range that is long enough (subuid(5))."""
    names = {str(os.geteuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.geteuid()).pw_name)
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        for line in file:
            name, first, count = (*line.strip().split(":"), "", "")[:3]
            if name in names and first.isdigit() and count.isdigit() and int(count) >= NEEDED_IDS:
                return Extent(0, own, 1), Extent(1, int(first), NEEDED_IDS)
    raise PermissionDenied(f"{path} has no range of {NEEDED_IDS} ids for user {os.geteuid()}")


def _enter(uids: Sequence[Extent], gids: Sequence[Extent]) -> None:
    """Get into a new user and mount namespace; a child that stays outside writes the maps."""
    own = os.getpid()
    begin, begun = os.pipe2(os.O_CLOEXEC)
    failure, failed = os.pipe2(os.O_CLOEXEC)
    helper = os.fork()
    if not helper:
        try:
            os.close(begun)
            os.close(failure)
            if os.read(begin, 1):
                _map(own, uids, gids, failed=failed)
        finally:
            os._exit(0)
    os.close(begin)
    os.close(failed)
    try:
        syscalls.unshare(constants.CLONE_NEWUSER | constants.CLONE_NEWNS)
        os.write(begun, b"1")
        with open(failure, "rb", closefd=False) as told:
            text = told.read().decode(errors="replace")
    except OSError as error:
        raise PermissionDenied(f"no user namespace can be made: {error.strerror}") from error
    finally:
        os.close(begun)
        os.close(failure)
        os.waitpid(helper, 0)
    if text:
        raise FailedPrecondition(text)


def _map(pid: int, uids: Sequence[Extent], gids: Sequence[Extent], *, failed: int) -> None:
    try:
        idmap.write_maps(pid, uids, gids)
    except (RuntimeFailure, OSError) as error:
        os.write(failed, str(error).encode())
