"""What stands for the cgroups of a container that has none: a user's, who may make none."""

import os
import signal as signals
from collections.abc import Mapping
from typing import Any, NoReturn

from runtime.cgroups import membership
from runtime.cgroups.join import Join
from runtime.cgroups.manager import Manager, Visible
from runtime.errors import FailedPrecondition


class NoManager(Manager):
    """The container is where its maker was: nothing of it can be limited, frozen or counted."""

    def __init__(self) -> None:
        """Look where this process is."""
        self.path = ""

    def directories(self) -> dict[str, str]:
        """Return none."""
        return {}

    def directory(self, controller: str) -> None:
        """Return None."""
        del controller

    def visible(self) -> tuple[Visible, ...]:
        """Return the cgroups that this process is in: the container will be in them."""
        own = membership.of(os.getpid())
        if len(own) == 1 and own[0][0].version == 2:
            return (Visible("", own[0][1], ()),)
        return tuple(
            Visible(os.path.basename(hierarchy.mountpoint), directory, ())
            for hierarchy, directory in own
        )

    def unified(self) -> bool:
        """Return False: there are no statistics of any shape."""
        return False

    def exists(self) -> bool:
        """Return False."""
        return False

    def create(self, resources: Mapping[str, Any]) -> None:
        """Make nothing."""
        del resources

    def update(self, resources: Mapping[str, Any]) -> None:
        """Refuse."""
        del resources
        _refuse("changed")

    def join_paths(self) -> Join:
        """Return a way that leads nowhere."""
        return Join(None, ())

    def second_directory_of(self, pid: int) -> None:
        """Return None."""
        del pid

    def pids(self) -> list[int]:
        """Refuse: which processes are the container's is not known."""
        _refuse("listed")

    def freeze(self) -> None:
        """Refuse."""
        _refuse("frozen")

    def thaw(self) -> None:
        """Do nothing: it is not frozen."""

    def frozen(self) -> bool:
        """Return False."""
        return False

    def kill(self, signal: int = signals.SIGKILL) -> None:
        """Do nothing: there is only the init to be killed, and the kernel ends the others."""

    def stats(self) -> dict[str, Any]:
        """Return no numbers."""
        return {}

    def oom_events(self) -> None:
        """Return None."""

    def delete(self) -> None:
        """Do nothing."""


def _refuse(what: str) -> NoReturn:
    raise FailedPrecondition(
        f"the container has no cgroups, and its processes cannot be {what}: this user may make none"
    )
