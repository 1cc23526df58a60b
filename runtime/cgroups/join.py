"""The way into cgroups for a child that is about to be cloned."""

import os
from collections.abc import Callable


class Join:
    """Open files by which a child enters the cgroups: born into v2's, then by itself into v1's.

    A lone thread that writes "0" into `tasks` moves in 0.03 ms a hierarchy; its pid written by
    another into `cgroup.procs` waits 8 ms for an RCU grace period.
    """

    __slots__ = ("attach", "into", "tasks")

    def __init__(
        self,
        into: int | None,
        tasks: tuple[int, ...],
        *,
        attach: Callable[[int], None] | None = None,
    ) -> None:
        self.attach = attach
        """What puts the child there where only somebody else may; given its pid."""
        self.into = into
        """The v2 cgroup's directory, for CLONE_INTO_CGROUP."""
        self.tasks = tasks
        """Each v1 cgroup's `tasks`."""

    def close(self) -> None:
        """Close them all."""
        for descriptor in (*self.tasks, *(() if self.into is None else (self.into,))):
            os.close(descriptor)
        self.into, self.tasks = None, ()
