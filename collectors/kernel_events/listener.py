"""One thread that sleeps until the kernel tells something, takes it down, and lets readers take it.

It makes no frame slower: a frame takes what is there already. When much happens it wakes only so
often a second, and what lies in the kernel's buffers comes in one go.
"""

import contextlib
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from collectors.errors import CollectError, Problem
from collectors.formats.proc_event import Told
from collectors.kernel_events.connector import PATH, Connector, wall_clock
from collectors.kernel_events.memory import Noticed, Notices
from collectors.kernel_events.mounts import MountChange, MountTables
from collectors.root import Root

T = TypeVar("T")
_KEPT: Final = 20_000
"""Of each kind, until a reader takes them; older ones are dropped, and counted."""
_BUSY: Final = 50
"""Wakings a second beyond which it sleeps a while after each."""
_PAUSE: Final = 0.02
_PROGRAMS: Final = 64
"""Processes in one waking of which is read what they run."""
_COMMAND: Final = 4096


class Birth(NamedTuple):
    """What one event of a process said, and what could be read of it then."""

    told: Told
    at: float
    """Seconds since 1970."""
    command: bytes = b""
    """Of a new program: /proc/PID/cmdline as it was a moment later; empty where it had ended."""
    cgroup: bytes = b""
    """The same of /proc/PID/cgroup."""


class Heard(NamedTuple):
    """What there was since the last time."""

    processes: tuple[Birth, ...] = ()
    mounts: tuple[tuple[float, MountChange], ...] = ()
    memory: tuple[tuple[float, Noticed], ...] = ()
    lost: int = 0
    """Events of processes that the kernel, or this, could not keep."""
    dropped: int = 0
    """Of the other kinds."""
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _State:
    """What the thread and its readers share, under the lock."""

    root: Root
    lock: threading.Lock = field(default_factory=threading.Lock)
    processes: deque[Birth] = field(default_factory=lambda: deque[Birth](maxlen=_KEPT))
    mounts: deque[tuple[float, MountChange]] = field(
        default_factory=lambda: deque[tuple[float, MountChange]](maxlen=_KEPT)
    )
    memory: deque[tuple[float, Noticed]] = field(
        default_factory=lambda: deque[tuple[float, Noticed]](maxlen=_KEPT)
    )
    lost: int = 0
    dropped: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    connector: Connector | None = None
    tables: MountTables = field(default_factory=MountTables)
    notices: Notices | None = None
    epoll: select.epoll = field(default_factory=select.epoll)
    wake: int = -1
    ended: bool = False


class Listener:
    """Listens from when it is made until it is closed, or forgotten."""

    def __init__(self, root: Root) -> None:
        """Begin; what cannot be listened to is among the problems of what is heard."""
        # What it reads is counted apart: no frame asked for it.
        state = self._state = _State(Root(root.path))
        state.notices = Notices(state.root)
        state.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        state.epoll.register(state.wake, select.EPOLLIN)
        try:
            state.connector = Connector()
            state.epoll.register(state.connector.fileno(), select.EPOLLIN)
        except CollectError as error:
            state.problems.append(error.problem())
        self._thread = threading.Thread(
            target=_run, args=(state,), name="cinspect-kernel-events", daemon=True
        )
        self._finish = weakref.finalize(self, _end, state, self._thread)
        self._thread.start()

    def close(self) -> None:
        """End it; once more does nothing."""
        self._finish()

    def watch_mounts(self, wanted: Mapping[int, int]) -> None:
        """Watch these mount namespaces, by a process in each, and no others."""
        state = self._state
        with state.lock:
            for namespace in state.tables.watched.keys() - wanted.keys():
                state.tables.remove(namespace)
            for namespace in wanted.keys() - state.tables.watched.keys():
                added = state.tables.add(namespace, wanted[namespace])
                if added is not None:
                    state.epoll.register(added[0], select.EPOLLPRI)
                    state.epoll.register(added[1], select.EPOLLIN)

    def watch_memory(self, wanted: Mapping[str, str]) -> None:
        """Watch these cgroups of version 1: paths below the mountpoint by directory."""
        state = self._state
        with state.lock:
            if state.notices is None:
                return
            # One that is gone is let go of when its removal was heard.
            for directory in wanted.keys() - state.notices.watched:
                for descriptor in state.notices.add(directory, wanted[directory]):
                    state.epoll.register(descriptor, select.EPOLLIN)

    def take(self) -> Heard:
        """Return what was heard since the last time; problems each time."""
        state = self._state
        with state.lock:
            _drain(state)
            heard = Heard(
                tuple(state.processes),
                tuple(state.mounts),
                tuple(state.memory),
                state.lost,
                state.dropped,
                tuple(state.problems),
            )
            state.processes.clear()
            state.mounts.clear()
            state.memory.clear()
            state.lost = state.dropped = 0
        return heard


def _run(state: _State) -> None:
    began, wakings = time.monotonic(), 0
    while True:
        events = state.epoll.poll()
        with state.lock:
            if state.ended:
                return
            for descriptor, _ in events:
                _hear(state, descriptor)
        wakings += 1
        now = time.monotonic()
        if now - began > 1:
            began, wakings = now, 0
        elif wakings > _BUSY:
            time.sleep(_PAUSE)


def _end(state: _State, thread: threading.Thread) -> None:
    state.ended = True
    os.eventfd_write(state.wake, 1)
    if thread.is_alive() and thread is not threading.current_thread():
        thread.join()
    if state.connector is not None:
        state.connector.close()
    state.tables.close()
    if state.notices is not None:
        state.notices.close()
    state.epoll.close()
    os.close(state.wake)


def _hear(state: _State, descriptor: int) -> None:
    """Take down what one descriptor has; the lock is held."""
    if state.connector is not None and descriptor == state.connector.fileno():
        _drain(state)
        return
    namespace = state.tables.ended(descriptor)
    if namespace is not None:
        state.tables.remove(namespace)
        return
    if state.notices is not None and (directory := state.notices.directory(descriptor)):
        noticed = state.notices.read(descriptor)
        if noticed is not None:
            if noticed.gone:
                state.notices.remove(directory)
            if noticed.times > 0:
                _keep(state, state.memory, (time.time(), noticed))
        return
    now = time.time()
    for change in state.tables.changes(descriptor):
        _keep(state, state.mounts, (now, change))


def _keep(state: _State, kept: deque[tuple[float, T]], one: tuple[float, T]) -> None:
    state.dropped += len(kept) == kept.maxlen
    kept.append(one)


def _drain(state: _State) -> None:
    """Take down what the connector has; the lock is held."""
    if state.connector is None:
        return
    programs = 0
    try:
        for told in state.connector.take():
            birth = Birth(told, wall_clock(told.nanoseconds))
            if told.kind == "exec" and programs < _PROGRAMS:
                programs += 1
                birth = birth._replace(
                    command=_glance(state.root, told.pid, "cmdline"),
                    cgroup=_glance(state.root, told.pid, "cgroup"),
                )
            state.lost += len(state.processes) == _KEPT
            state.processes.append(birth)
    except OSError as error:
        reason = error.strerror or str(error)
        state.problems.append(Problem(PATH, "recv", "unavailable", reason))
        with contextlib.suppress(
            OSError, ValueError
        ):  # whoever listened may have closed it meanwhile
            state.epoll.unregister(state.connector.fileno())
        state.connector.close()
        state.connector = None
        return
    state.lost += state.connector.lost()


def _glance(root: Root, pid: int, file: str) -> bytes:
    try:
        return root.read(f"proc/{pid}/{file}", most_bytes=_COMMAND)
    except CollectError:
        return b""
