"""Reads the sockets and the routes of every network namespace, and which processes hold the sockets."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from socket import socket
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from collectors import descriptors, netns
from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.formats import net_route, net_sockets
from collectors.formats.net_route import Route
from collectors.links.records import NamespaceSockets
from collectors.members import Damaged, Members, ask
from collectors.netlink.records import Counts, Protocol, Socket
from collectors.root import Root
from runtime.errors import FormatError

__all__ = ("KEY", "Limits", "NamespaceSockets", "Route", "Socket", "SocketReader", "SocketsReading")

T = TypeVar("T")


class SocketsReading(Struct, frozen=True):
    """Every network namespace that has a process."""

    namespaces: tuple[NamespaceSockets, ...]
    holders: Mapping[int, tuple[int, ...]]
    """Pids that have a socket open, by its inode: those of listeners, and of listed connections."""
    complete: bool
    """Whether every process's descriptors were looked at."""
    problems: tuple[Problem, ...] = ()


KEY = Key("sockets", SocketsReading)


class Limits(Struct, frozen=True):
    """How much one reading may cost."""

    connections: int = 500
    """Listed of one namespace."""
    seconds: float = 0.2
    """For tables of connections: a namespace whose turn did not come is the first one next time."""
    scan: descriptors.Limits = descriptors.Limits()
    rest: float = 100.0
    """Times that a costly part took, until it is read again: so it costs a hundredth of a core."""


class _Table(Struct, frozen=True):
    """A namespace's connections as they were."""

    listed: tuple[Socket, ...]
    states: Mapping[str, int]
    read_at: float
    listeners: tuple[Socket, ...] | None = None
    """Where both come from the same file."""


class _Told(NamedTuple):
    said: NamespaceSockets
    asked_at: float


class _Look(NamedTuple):
    """What a namespace's files say, and the process that they were read of."""

    pid: int
    counts: Counts | None
    routes: tuple[Route, ...] | None


class SocketReader:
    """Reads again and again: what listens each time, connections and holders when they may cost it.

    What listens is asked of the kernel directly (sock_diag(7)), which takes a twentieth of a
    millisecond a table; /proc/PID/net/tcp walks the whole host's connections for each namespace, in
    8 ms and more. It stands in for it where a namespace may not be entered, and in a recorded tree.
    Neither is asked where /proc/PID/net/sockstat counts none.

    A namespace in which no process ran since is not asked again before its turn comes: so many are
    in a frame as take a hundredth of the time. Who listens in it without running has been told.
    """

    def __init__(self, who: Members | None = None, limits: Limits | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._limits = limits or Limits()
        self._tables: dict[int, _Table] = {}
        self._told: dict[int, _Told] = {}
        self._pids: dict[int, tuple[int, ...]] = {}
        """Who was in each namespace: with one that ended what it listened on is gone."""
        self._walk = 0
        self._turned_at = 0.0
        self._each = 0.0
        """What asking one namespace took."""
        self._holders = descriptors.SocketHolders(self._who, self._limits.scan, self._limits.rest)
        self._read_at = 0.0
        self._spare = 0.0
        """Seconds that reading tables of connections again may take now."""

    def read(self, root: Root) -> SocketsReading:
        """Read every namespace; one whose last process exits meanwhile is left out."""
        by_namespace, denied = self._who.of(root, "net")
        problems = Problems()
        self._tables = {inode: one for inode, one in self._tables.items() if inode in by_namespace}
        began = time.monotonic()
        earned = (began - self._read_at) / self._limits.rest
        self._spare = min(self._limits.seconds, self._spare + earned) if self._read_at else 0.0
        self._read_at = began
        due = self._due(root, by_namespace, began)
        found = self._asked(root, due, problems)
        self._told = {
            inode: found[inode] if inode in due else self._told[inode]
            for inode in by_namespace
            if inode in found or inode not in due
        }
        if due:
            self._each = (time.monotonic() - began) / len(due)
        said = tuple([one.said for one in self._told.values()])
        listening = _inodes(space.listeners or () for space in said)
        wanted = listening | _inodes(space.connections for space in said)
        holders = self._holders.of(root, wanted, listening, by_namespace)
        complete = self._holders.complete
        return SocketsReading(said, dict(holders), complete, (*denied, *problems.all()))

    def _asked(
        self, root: Root, due: Mapping[int, Sequence[int]], problems: Problems
    ) -> dict[int, _Told]:
        """Return what these namespaces say now, without those that went away."""
        began = time.monotonic()
        looks: dict[int, _Look] = {}
        for inode, pids in due.items():
            try:
                looks[inode] = _look(root, inode, pids)
            except Gone:
                continue
            except CollectError as error:
                problems.failed(error)
        deadline = time.monotonic() + self._limits.seconds
        busy = {inode for inode, one in looks.items() if one.counts is None or any(one.counts)}
        answers: Mapping[int, tuple[Socket, ...] | None] = {}
        if root.live:
            answers = self._ask(busy, looks, deadline)
        told: dict[int, _Told] = {}
        for inode, look in looks.items():
            try:
                listeners = answers.get(inode) if inode in busy else ()
                if listeners is None:
                    listeners = self._from_files(root, inode, due[inode], deadline)
                elif look.counts is not None and not look.counts.tcp + look.counts.time_wait:
                    self._tables[inode] = _Table((), {}, began)
                said = self._namespace(inode, look, listeners)
                before = self._told.get(inode)
                same = before is not None and before.said == said
                told[inode] = _Told(before.said if before is not None and same else said, began)
            except Gone:
                continue
            except CollectError as error:
                problems.failed(error)
        return told

    def _due(
        self, root: Root, by_namespace: Mapping[int, Sequence[int]], now: float
    ) -> Mapping[int, Sequence[int]]:
        """Return the namespaces to be asked: where a process ran, and some others in turn."""
        ran, self._walk = self._who.changed(root, "net", self._walk)
        before, self._pids = (
            self._pids,
            {inode: tuple(pids) for inode, pids in by_namespace.items()},
        )
        if ran is None:
            return by_namespace
        quiet = [
            inode
            for inode, pids in by_namespace.items()
            if inode not in ran
            and inode in self._told
            and before.get(inode) == self._pids[inode]
            and _among(self._told[inode].said.pid, pids)
        ]
        cost = self._limits.rest * self._each
        many = int((now - self._turned_at) / cost) if cost else len(quiet)
        if many:
            self._turned_at = now
        quiet.sort(key=lambda inode: self._told[inode].asked_at)
        resting = set(quiet[many:])
        return {inode: pids for inode, pids in by_namespace.items() if inode not in resting}

    def _ask(
        self, busy: Iterable[int], looks: Mapping[int, _Look], deadline: float
    ) -> Mapping[int, tuple[Socket, ...] | None]:
        """Return what listens in each namespace that could be entered, and renew the tables due."""
        # Not loaded for a recorded tree, nor by what asks for no sockets.
        from collectors.netlink import sock_diag  # noqa: PLC0415

        def listeners(inode: int, opened: socket) -> tuple[Socket, ...] | None:
            counts = looks[inode].counts
            try:
                answer = tuple(sock_diag.listeners(opened, counts))
                if not self._idle(inode, counts, answer):
                    self._renew(inode, deadline, partial(sock_diag.connections, opened))
            except (OSError, FormatError):
                return None  # no such module, a sandbox: the files say it too
            finally:
                opened.close()
            return answer

        answers: dict[int, tuple[Socket, ...] | None] = {}
        order = iter(sorted(busy, key=self._last_read))
        while batch := list(islice(order, netns.AT_ONCE)):
            doors = {inode: looks[inode].pid for inode in batch}
            opened, _ = netns.enter(doors, netns.SOCK_DIAG)
            answers |= {inode: listeners(inode, one) for inode, one in opened.items()}
        return answers

    def _idle(self, inode: int, counts: Counts | None, listeners: Sequence[Socket]) -> bool:
        """Return whether a namespace that is new has nothing but these, so that it may wait its turn.

        Connections that are half open are not counted.
        """
        if counts is None or inode in self._tables:
            return False
        listening = sum(one.protocol == "tcp" for one in listeners)
        idle = not counts.time_wait and counts.tcp == listening
        if idle:
            self._tables[inode] = _Table((), {}, 0.0)
        return idle

    def _last_read(self, inode: int) -> float:
        table = self._tables.get(inode)
        return table.read_at if table else -1.0

    def _from_files(
        self, root: Root, inode: int, pids: Sequence[int], deadline: float
    ) -> tuple[Socket, ...] | None:
        """Return what listens, by the files of /proc, as of when they were last read."""

        def sockets() -> Iterator[Socket]:
            def question(pid: int) -> tuple[Socket, ...]:
                return tuple(_of_files(root, pid))

            return iter(ask(root, "net", inode, pids=pids, question=question)[1])

        try:
            self._renew(inode, deadline, sockets)
        except Gone:
            if root.live:
                raise
            return None  # a tree that was recorded without these files
        table = self._tables.get(inode)
        return table.listeners if table else None

    def _renew(self, inode: int, deadline: float, sockets: Callable[[], Iterable[Socket]]) -> None:
        """Read a namespace's table when it is new, or its turn has come, and there is time."""
        now = time.monotonic()
        if now >= deadline or (inode in self._tables and self._spare <= 0):
            return
        listed: list[Socket] = []
        listening: list[Socket] = []
        states: dict[str, int] = {}
        for one in sockets():
            if one.listens:
                listening.append(one)
                continue
            if one.protocol == "tcp":
                states[one.state] = states.get(one.state, 0) + 1
            if len(listed) < self._limits.connections:
                listed.append(one)
        self._tables[inode] = _Table(tuple(listed), states, now, tuple(listening))
        self._spare -= time.monotonic() - now

    def _namespace(
        self, inode: int, look: _Look, listeners: tuple[Socket, ...] | None
    ) -> NamespaceSockets:
        table = self._tables.get(inode)
        # Udp that is connected is no listener, and told together with those.
        listening = tuple(one for one in listeners or () if one.listens)
        talking = tuple(one for one in listeners or () if not one.listens)
        counted = [one for one in listening if one.protocol == "tcp"]
        states = None
        if table is not None:
            states = {**({"listen": len(counted)} if counted else {}), **table.states}
        return NamespaceSockets(
            namespace=inode,
            pid=look.pid,
            listeners=None if listeners is None else listening,
            connections=(*(table.listed if table else ()), *talking),
            states=states,
            default_routes=tuple(one for one in look.routes or () if one.default),
            routes=None if look.routes is None else len(look.routes),
        )


def _among(pid: int, pids: Sequence[int]) -> bool:
    """Return whether a pid is one of those, which ascend."""
    place = bisect_left(pids, pid)
    return place < len(pids) and pids[place] == pid


def _inodes(sockets: Iterable[Iterable[Socket]]) -> frozenset[int]:
    return frozenset([one.inode for some in sockets for one in some if one.inode])


_FILES: Final[tuple[tuple[Protocol, str], ...]] = (
    ("tcp", "tcp"),
    ("tcp", "tcp6"),
    ("udp", "udp"),
    ("udp", "udp6"),
)
_ROUTES_BYTES: Final = 1 << 20
"""Of a router's table; one that is longer is not counted."""
_ALIKE_BYTES: Final = 1 << 12
"""Tables up to this size are alike in many namespaces, and then understood once."""


def _of_files(root: Root, pid: int) -> Iterator[Socket]:
    for protocol, file in _FILES:
        name = f"proc/{pid}/net/{file}"
        try:
            yield from net_sockets.parse(root.read(name), protocol)
        except Missing:
            # No IPv6; or a recorded tree that has none of these.
            if file in {"tcp", "udp"}:
                raise
        except FormatError as error:
            raise Damaged(f"/{name}", "parse", str(error)) from error


def _look(root: Root, inode: int, pids: Sequence[int]) -> _Look:
    """Return what the small files of a namespace say; raise as `ask` does."""
    pid, (counts, routes) = ask(
        root, "net", inode, pids=pids, question=lambda pid: (_counts(root, pid), _routes(root, pid))
    )
    return _Look(pid, counts, routes)


def _counts(root: Root, pid: int) -> Counts | None:
    """Return how many sockets are open; None where that is not told, as in older recorded trees."""
    name = f"proc/{pid}/net/sockstat"
    try:
        data = root.read(name)
        return net_sockets.counts(data, _or_none(root, f"{name}6"))
    except Missing:
        return None
    except FormatError as error:
        raise Damaged(f"/{name}", "parse", str(error)) from error


def _or_none(root: Root, name: str) -> bytes:
    try:
        return root.read(name)
    except Missing:  # no IPv6
        return b""


@lru_cache(maxsize=256)
def _parsed(parse: Callable[[bytes], tuple[Route, ...]], data: bytes) -> tuple[Route, ...]:
    return parse(data)


def _routes(root: Root, pid: int) -> tuple[Route, ...] | None:
    """Return the routes of both families; None where they are too many, or not told."""
    found: list[Route] = []
    for file, parse in (("route", net_route.parse), ("ipv6_route", net_route.parse_v6)):
        name = f"proc/{pid}/net/{file}"
        try:
            data = root.read(name, most_bytes=_ROUTES_BYTES)
        except Missing:
            if file == "route":
                return None
            continue
        if len(data) >= _ROUTES_BYTES:
            return None
        try:
            found.extend(_parsed(parse, data) if len(data) <= _ALIKE_BYTES else parse(data))
        except FormatError as error:
            raise Damaged(f"/{name}", "parse", str(error)) from error
    return tuple(found)
