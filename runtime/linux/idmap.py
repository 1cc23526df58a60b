"""User namespaces as id maps: write them, hold one open, and map the ids of a mount by it."""

import os
import signal
from collections.abc import Sequence

from runtime.errors import FailedPrecondition, PermissionDenied
from runtime.formats import idmap
from runtime.linux import constants, mounts, syscalls

_WHOLE = idmap.Extent(0, 0, (1 << 32) - 1)
"""What the map of the first user namespace says (user_namespaces(7))."""


def nested() -> bool:
    """Tell whether this process is in a user namespace other than the first."""
    return idmap.parse(_read("/proc/self/uid_map")) != (_WHOLE,)


def root_of(pid: int, kind: str) -> int:
    """Return 0 if the process's user namespace has it, otherwise the process's id there.

    `kind` is uid or gid. Raises `FailedPrecondition` for a process outside its own map.
    """
    extents = idmap.parse(_read(f"/proc/{pid}/{kind}_map"))
    if any(extent.inside == 0 for extent in extents):
        return 0
    status = _read(f"/proc/{pid}/status")
    outside = int(status.partition(f"\n{kind.title()}:".encode())[2].split()[0])
    for extent in extents:
        if extent.outside <= outside < extent.outside + extent.size:
            return extent.inside + outside - extent.outside
    raise FailedPrecondition(f"process {pid}: its {kind} {outside} is not in its {kind}_map")


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def write_maps(pid: int, uids: Sequence[idmap.Extent], gids: Sequence[idmap.Extent]) -> None:
    """Give a process's new user namespace its maps; once only (user_namespaces(7)).

    A user may map the own ids to one each, as long as groups stay what they are; for more there are
    newuidmap and newgidmap, by what /etc/subuid and /etc/subgid allow. Raises `PermissionDenied`
    with their words.
    """
    for kind, extents, own in (("uid", uids, os.geteuid()), ("gid", gids, os.getegid())):
        alone = len(extents) == 1 and extents[0].outside == own and extents[0].size == 1
        if os.geteuid() != 0 and not alone:
            _have_mapped(f"new{kind}map", pid, extents)
            continue
        if os.geteuid() != 0 and kind == "gid":
            _write(f"/proc/{pid}/setgroups", b"deny")
        _write(f"/proc/{pid}/{kind}_map", idmap.render(extents))


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _have_mapped(helper: str, pid: int, extents: Sequence[idmap.Extent]) -> None:
    """Run newuidmap or newgidmap (newuidmap(1)); raises `PermissionDenied`."""
    words = [str(number) for extent in extents for number in extent]
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as told:
        try:
            child = os.posix_spawnp(
                helper,
                [helper, str(pid), *words],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, writing, each) for each in (1, 2)],
            )
        except FileNotFoundError:
            raise PermissionDenied(
                f"{helper} is not installed: without it a user can map but the own ids"
            ) from None
        finally:
            os.close(writing)
        text = told.read().decode(errors="replace").strip()
    if os.waitpid(child, 0)[1] != 0:
        raise PermissionDenied(text or f"{helper} failed")


def user_namespace(uids: Sequence[idmap.Extent], gids: Sequence[idmap.Extent]) -> int:
    """Return an open user namespace of these maps that nobody is in.

    Only for a process without threads: it is made by a child, which ends at once.
    """
    child = syscalls.clone3(constants.CLONE_NEWUSER, exit_signal=signal.SIGCHLD)
    if child.pid == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        write_maps(child.pid, uids, gids)
        return os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.waitid(constants.P_PIDFD, child.pidfd, os.WEXITED)
        os.close(child.pidfd)


def mapped_tree(path: str, userns: int) -> int:
    """Return a detached mount of `path` that shows ids as seen through a user namespace.

    Raises OSError EINVAL where the filesystem cannot (mount_setattr(2), "ID-mapped mounts").
    """
    tree = mounts.open_tree(constants.AT_FDCWD, path)
    try:
        mounts.set_attributes(tree, attributes=constants.MOUNT_ATTR_IDMAP, userns=userns)
    except OSError:
        os.close(tree)
        raise
    return tree
