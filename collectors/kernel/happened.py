"""Takes what the kernel told since the reading before: processes, mounts, want of memory."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Missing, Problem
from collectors.kernel_events import memory
from collectors.kernel_events.connector import PATH
from collectors.kernel_events.listener import Birth, Heard, Listener
from collectors.kernel_events.memory import Noticed
from collectors.kernel_events.mounts import MountChange
from collectors.members import Members
from collectors.root import Root

__all__ = ("KEY", "Birth", "HappenedReading", "MountChange", "Noticed", "Reader")

_NAMESPACES: Final = 128
"""Mount namespaces that are watched: two descriptors each."""
_CGROUPS: Final = 128
"""Cgroups of version 1 whose memory is watched: three descriptors each."""
_SECONDS: Final = 5.0
"""How often it is looked for others, when nothing tells that there are."""
_AGAIN: Final = 0.4
"""How soon it is looked again, when something does."""
_DEAF: Final = 1.0
"""How often it is looked where births are not told, so that nothing tells."""


class HappenedReading(Struct, frozen=True, kw_only=True):
    """What was heard, each kind in the order of its times, which are seconds since 1970."""

    processes: tuple[Birth, ...] = ()
    mounts: tuple[tuple[float, MountChange], ...] = ()
    memory: tuple[tuple[float, Noticed], ...] = ()
    lost: int = 0
    """Events of processes, of any on the host, that were lost: at least so many."""
    dropped: int = 0
    """Of mounts and memory, that came too fast to be kept."""
    watched: frozenset[int] = frozenset()
    """The mount namespaces whose changes are told here."""
    problems: tuple[Problem, ...] = ()


KEY = Key("happened", HappenedReading)


class Reader:
    """Begins to listen with the first reading, and ends when it is closed or forgotten."""

    def __init__(self, who: Members, memory_cgroups: Callable[[], Mapping[str, str]]) -> None:
        """Take who is in which mount namespace, and the cgroups of a version 1 memory hierarchy.

        Of these the path below the mountpoint, by directory.
        """
        self._who = who
        self._memory_cgroups = memory_cgroups
        self._listener: Listener | None = None
        self._due = -_SECONDS
        self._watched: frozenset[int] = frozenset()
        self._left_out: tuple[Problem, ...] = ()

    def close(self) -> None:
        """End listening; the next reading begins anew."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._due = -_SECONDS

    def read(self, root: Root) -> HappenedReading:
        """Return what was heard since the reading before; raise `Missing` of a recorded host."""
        if not root.live:
            raise Missing(f"/{KEY.name}", "listen", "a recorded host tells nothing new")
        if self._listener is None:
            self._listener = Listener(root)
        heard = self._listener.take()
        now = time.monotonic()
        deaf = any(problem.path == PATH for problem in heard.problems)
        late = self._due + (_DEAF - _AGAIN if deaf else _SECONDS)
        if now >= late or (now >= self._due and _something_began(heard)):
            self._left_out = tuple(self._aim(root, self._listener))
            self._due = now + _AGAIN
        return HappenedReading(
            processes=heard.processes,
            mounts=heard.mounts,
            memory=heard.memory,
            lost=heard.lost,
            dropped=heard.dropped,
            watched=self._watched,
            problems=(*heard.problems, *self._left_out),
        )

    def _aim(self, root: Root, listener: Listener) -> list[Problem]:
        """Watch what there is by now."""
        problems: list[Problem] = []
        spaces: Mapping[int, Sequence[int]] = {}
        with contextlib.suppress(CollectError):
            spaces = self._who.of(root, "mnt")[0]
        # The eldest processes' first: the host's, and of a container its first one's.
        eldest = sorted((min(pids), namespace) for namespace, pids in spaces.items() if pids)
        wanted = {namespace: pid for pid, namespace in eldest[:_NAMESPACES]}
        listener.watch_mounts(wanted)
        self._watched = frozenset(wanted)
        if len(eldest) > _NAMESPACES:
            message = f"mounts of {len(eldest) - _NAMESPACES} namespaces are not watched: too many"
            problems.append(Problem("/proc/*/mountinfo", "poll", "unavailable", message))
        cgroups, left = memory.targets(self._memory_cgroups(), _CGROUPS)
        listener.watch_memory(cgroups)
        if left:
            message = f"memory of {left} cgroups is not watched: too many"
            path = "/sys/fs/cgroup/memory/*/cgroup.event_control"
            problems.append(Problem(path, "write", "unavailable", message))
        return problems


def _something_began(heard: Heard) -> bool:
    """Return whether there may be a namespace or a cgroup that was not there before.

    Both are made by a process that is new, as a rule: then its program is too.
    """
    return any(birth.told.kind == "exec" for birth in heard.processes)
