"""A child that was forked in advance, as its parent sees it; `spare` is what it does itself."""

import marshal
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from runtime.formats.spec import CGROUP_TYPES, Spec, entries
from runtime.init import ending, launch, namespaces, signals
from runtime.init.job import Job
from runtime.init.launch import Answers, Launch, Launched, Streams
from runtime.init.ready import Park, Ready
from runtime.linux import constants, mounts, syscalls

if TYPE_CHECKING:
    from runtime.cgroups.join import Join
    from runtime.cgroups.manager import Manager

KINDS: Final = frozenset({"cgroup", "ipc", "mount", "network", "pid", "uts"})
"""The namespaces that it can make: no user namespace, which takes its parent's help."""
LARGEST: Final = 1 << 18
"""Bytes of a spec, and what else is sent with it."""


class Spare:
    """The parent's side: the process, the socket to it, and what it has begun with."""

    __slots__ = ("_apart", "_cloned", "_job", "_sibling", "_spec", "_sync", "_told")

    def __init__(
        self, cloned: syscalls.Cloned, sync: socket.socket, told: int, *, sibling: bool
    ) -> None:
        self._cloned = cloned
        self._sync = sync
        self._told = told
        self._apart = False
        self._sibling = sibling
        self._spec: Spec | None = None
        self._job: Job | None = None

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._cloned.pid

    def job(self, spec: Spec, cgroup: "Manager") -> Job | None:
        """Return the job that it has begun with, if it is for a spec, and the cgroups are as foreseen."""
        job = self._job if self._spec is spec else None
        return job if job is not None and job.hierarchies == cgroup.visible() else None

    def begin(self, spec: Spec, job: Job) -> bool:
        """Have it begin with a container; tell whether it can be that one's init.

        The cgroups need not be there.
        """
        if self._job is not None:
            return self._job is job
        wanted = namespaces.of(spec)
        if job.manner.sibling is not self._sibling or job.manner.preserve:
            return False
        # There is one copy of each cgroup's mount to show.
        shown = [each for each in entries(spec, "mounts") if each.get("type") in CGROUP_TYPES]
        if wanted.joined or not wanted.new <= KINDS or len(shown) > 1:
            return False
        try:
            data = marshal.dumps((dict(spec), job.pack()))
            if len(data) > LARGEST:
                return False
            self._sync.send(data)
            # What a socket wakes is put on the sender's processor, as if that had done: it has not.
            os.eventfd_write(self._told, 1)
        except (OSError, ValueError):  # it is gone, or the spec too large
            return False
        self._spec, self._job, self._apart = spec, job, "pid" in wanted.new
        return True

    def take(
        self, job: Job, cgroup: "Manager", *, stdio: Streams | None, answers: Answers
    ) -> Launched | None:
        """Have it become the container's init, and return that when it is ready; None if it cannot."""
        join = cgroup.join_paths()
        try:
            if join.attach is not None:
                return None
            self._tell(job, join, stdio or ())
        except OSError:  # it is gone, or what fails here fails without it too, and is told then
            return None
        finally:
            join.close()
        ready = Ready(wait=True) if job.manner.park is None else Park(job.manner.park)
        cloned, sync, self._cloned = self._cloned, self._sync, _GONE
        os.close(self._told)
        launch = Launch([ready], stdio=None, answers=answers)
        return launch.follow(cloned, sync, apart=self._apart)

    def _tell(self, job: Job, join: "Join", streams: Sequence[int]) -> None:
        """Send it its streams, the way into the cgroups, and a mount of each to show inside."""
        trees: list[int] = []
        try:
            for _, directory, _ in job.hierarchies:
                trees.append(mounts.open_tree(constants.AT_FDCWD, directory))
            born = () if join.into is None else (join.into,)
            told = marshal.dumps((len(streams), len(born), len(trees)))
            socket.send_fds(self._sync, [told], (*streams, *born, *trees, *join.tasks))
        finally:
            for each in trees:
                os.close(each)

    def drop(self) -> None:
        """End it, unless it has become an init."""
        if self._cloned is _GONE:
            return
        self._sync.close()
        os.close(self._told)
        try:
            signal.pidfd_send_signal(self._cloned.pidfd, signal.SIGKILL)
            ending.reap(self._cloned)
        except ProcessLookupError:  # it was killed, and reaped by somebody else
            os.close(self._cloned.pidfd)


_GONE: Final = syscalls.Cloned(0, -1)


spares: list[Spare] = []
"""At most one: this process's own."""


def fork(become: Callable[[socket.socket, int, int], object], *, sibling: bool = False) -> None:
    """Fork a spare, unless there is one; only for a process without threads.

    The child calls `become`, with its end of the socket, what can be read when something is sent
    first (eventfd(2)), and the signals that are ignored. With `sibling` it becomes a child of this
    process's parent, and so do the containers made of it.
    """
    if spares:
        return
    ending.collect()
    ignored = signals.ignored()
    ours, theirs = launch.sockets()
    told = os.eventfd(0, os.EFD_CLOEXEC)
    flags = constants.CLONE_CLEAR_SIGHAND | (constants.CLONE_PARENT if sibling else 0)
    with theirs, syscalls.unreadable():
        try:
            cloned = syscalls.clone3(flags, exit_signal=0 if sibling else signal.SIGCHLD)
        except OSError:
            ours.close()
            os.close(told)
            return  # a start forks by itself then, or says why it cannot
        if cloned.pid == 0:
            try:
                become(theirs, told, ignored)
            finally:
                os._exit(126)
    spares.append(Spare(cloned, ours, told, sibling=sibling))
