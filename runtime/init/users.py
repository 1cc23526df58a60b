"""Who the command runs as: numbers, or names from the container's own passwd and group files."""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from runtime.errors import InvalidArgument
from runtime.init import paths

_MAX_BYTES = 4 << 20
_MAX_ID = (1 << 32) - 2  # the one above means "unchanged" to setuid's family


class User(NamedTuple):
    """An identity: ids, supplementary groups, and the home directory if it is known."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str | None


def resolve(wanted: str, *, passwd: bytes, group: bytes) -> User:
    """Return who `user`, `user:group`, `uid` or `uid:gid` is; empty is root.

    A user without a group gets the group and the supplementary groups that the files give it; with
    a group, only that. A number that is in no file stands for itself, with group 0.
    """
    name, separator, group_name = wanted.partition(":")
    name = name or "0"
    entry = _find_user(passwd, name)
    if entry is None:
        uid, gid, home, login = _number(name, "user"), 0, None, None
    else:
        login, uid, gid, home = entry
    if separator and group_name:
        return User(uid, _find_group(group, group_name), (), home)
    groups = () if login is None else tuple(sorted(set(_memberships(group, login))))
    return User(uid, gid, groups, home)


def _number(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _MAX_ID:
        return int(text)
    raise InvalidArgument(f"the container has no {what} {text!r}")


def _entries(data: bytes, fields: int) -> Iterator[list[str]]:
    for line in data.splitlines():
        parts = line.decode("utf-8", "surrogateescape").split(":")
        if len(parts) >= fields:
            yield parts


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _MAX_ID else None


def _find_user(data: bytes, name: str) -> tuple[str, int, int, str] | None:
    for parts in _entries(data, 6):
        uid, gid = _id(parts[2]), _id(parts[3])
        if uid is not None and gid is not None and name in {parts[0], parts[2]}:
            return parts[0], uid, gid, parts[5]
    return None


def _find_group(data: bytes, name: str) -> int:
    for parts in _entries(data, 3):
        gid = _id(parts[2])
        if gid is not None and name in {parts[0], parts[2]}:
            return gid
    return _number(name, "group")


def _memberships(data: bytes, login: str) -> Iterator[int]:
    for parts in _entries(data, 4):
        gid = _id(parts[2])
        if gid is not None and login in parts[3].split(","):
            yield gid


def read_database(root: int, path: str) -> bytes:
    """Return a file of the container; empty if it is missing.

    Raises `InvalidArgument` if it is no regular file or too large: the image decides what it is.
    """
    try:
        descriptor = paths.find(root, path, flags=os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{path}: is not a regular file")
        if status.st_size > _MAX_BYTES:
            raise InvalidArgument(f"{path}: is larger than {_MAX_BYTES} bytes")
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def change_groups(groups: tuple[int, ...]) -> None:
    """Take these groups and no others, or those there are where a user's namespace keeps them.

    Raises `InvalidArgument` if some are wanted there (user_namespaces(7), "setgroups").
    """
    if not groups and not os.getgroups():
        return
    try:
        os.setgroups(groups)
    except PermissionError:
        if not _groups_stay():
            raise
        if groups:
            raise InvalidArgument(
                "process.user.additionalGids: in this user namespace no group can be added"
            ) from None


def _groups_stay() -> bool:
    """Tell whether whoever made the user namespace had to promise that groups stay."""
    try:
        descriptor = os.open("/proc/self/setgroups", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, 16).strip() == b"deny"
    finally:
        os.close(descriptor)
