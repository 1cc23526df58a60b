"""Supplementary groups, which a user's own namespace may keep as they are (user_namespaces(7))."""

import os

from runtime.errors import InvalidArgument


def change(groups: tuple[int, ...]) -> None:
    """Take these groups and no others, or those there are where that is all that is allowed.

    Raises `InvalidArgument` if some are wanted there.
    """
    if not groups and not os.getgroups():
        return
    try:
        os.setgroups(groups)
    except PermissionError:
        if not _kept():
            raise
        if groups:
            raise InvalidArgument(
                "process.user.additionalGids: in this user namespace no group can be added"
            ) from None


def _kept() -> bool:
    """Tell whether whoever made the user namespace had to promise that groups stay."""
    try:
        descriptor = os.open("/proc/self/setgroups", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, 16).strip() == b"deny"
    finally:
        os.close(descriptor)
