"""Reads the sockets and the routes of every network namespace, and which processes hold the sockets."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from collectors import descriptors, netns
from collectors.collector import Key
from collectors.errors import CollectError, Gone, Missing, Problem, Problems
from collectors.formats import net_route, net_sockets
from collectors.formats.net_route import Route
from collectors.links.records import NamespaceSockets
from collectors.members import Damaged, Members, ask
from collectors.netlink.records import Protocol, Socket
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


class SocketReader:
    """Reads again and again: what listens each time, connections and holders when they may cost it.

    What listens is asked of the kernel directly (sock_diag(7)), which takes a twentieth of a
    millisecond a table; /proc/PID/net/tcp walks the whole host's connections for each namespace, in
    8 ms and more. It stands in for it where a namespace may not be entered, and in a recorded tree.

    A namespace in which no process ran since is not asked again before its turn comes: so many are
    in a frame as take a hundredth of the time. Who listens in it without running has been told.
    """

    def __init__(self, who: Members | None = None, limits: Limits | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._limits = limits or Limits()
        self._tables: dict[int, _Table] = {}
        self._told: dict[int, _Told] = {}
        self._walk = 0
        self._turned_at = 0.0
        self._each = 0.0
        """What asking one namespace took."""
        self._holders: dict[int, tuple[int, ...]] = {}
        self._looked_for: frozenset[int] = frozenset()
        self._turn_at = 0.0
        """When tables of connections are read again."""
        self._table_seconds = 0.0
        """What reading them took this time."""
        self._scanned_at = 0.0
        self._scan_seconds = 0.0
        self._complete = True

    def read(self, root: Root) -> SocketsReading:
        """Read every namespace; one whose last process exits meanwhile is left out."""
        by_namespace, denied = self._who.of(root, "net")
        problems = Problems()
        self._tables = {inode: one for inode, one in self._tables.items() if inode in by_namespace}
        began = time.monotonic()
        deadline = began + self._limits.seconds
        self._table_seconds = 0.0
        due = self._due(root, by_namespace, began)
        asked = self._ask(due, deadline) if root.live else {}
        told: dict[int, _Told] = {}
        for inode, pids in by_namespace.items():
            if inode not in due:
                told[inode] = self._told[inode]
                continue
            try:
                listeners = asked.get(inode)
                if listeners is None:
                    listeners = self._from_files(root, inode, pids, deadline)
                told[inode] = _Told(self._namespace(root, inode, pids, listeners), began)
            except Gone:
                continue
            except CollectError as error:
                problems.failed(error)
        self._told = told
        if due:
            self._each = (time.monotonic() - began) / len(due)
        found = [one.said for one in told.values()]
        if began >= self._turn_at:
            self._turn_at = began + self._limits.rest * self._table_seconds
        self._hold(root, found, by_namespace)
        return SocketsReading(
            tuple(found), dict(self._holders), self._complete, (*denied, *problems.all())
        )

    def _due(
        self, root: Root, by_namespace: Mapping[int, Sequence[int]], now: float
    ) -> Mapping[int, Sequence[int]]:
        """Return the namespaces to be asked: where a process ran, and some others in turn."""
        ran, self._walk = self._who.changed(root, "net", self._walk)
        if ran is None:
            return by_namespace
        quiet = [
            inode
            for inode, pids in by_namespace.items()
            if inode not in ran and inode in self._told and _among(self._told[inode].said.pid, pids)
        ]
        cost = self._limits.rest * self._each
        many = int((now - self._turned_at) / cost) if cost else len(quiet)
        if many:
            self._turned_at = now
        quiet.sort(key=lambda inode: self._told[inode].asked_at)
        resting = set(quiet[many:])
        return {inode: pids for inode, pids in by_namespace.items() if inode not in resting}

    def _ask(
        self, by_namespace: Mapping[int, Sequence[int]], deadline: float
    ) -> dict[int, tuple[Socket, ...]]:
        """Return what listens in each namespace that could be entered, and renew the tables due."""
        # Not loaded for a recorded tree, nor by what asks for no sockets.
        from collectors.netlink import sock_diag  # noqa: PLC0415

        answers: dict[int, tuple[Socket, ...]] = {}
        order = iter(sorted(by_namespace.items(), key=self._last_read))
        while batch := list(islice(order, netns.AT_ONCE)):
            opened, _ = netns.enter({inode: pids[0] for inode, pids in batch}, netns.SOCK_DIAG)
            for inode, one in opened.items():
                try:
                    answers[inode] = tuple(sock_diag.listeners(one))
                    self._renew(inode, deadline, partial(sock_diag.connections, one))
                except (OSError, FormatError):
                    continue  # no such module, a sandbox: the files say it too
                finally:
                    one.close()
        return answers

    def _last_read(self, space: tuple[int, Sequence[int]]) -> float:
        table = self._tables.get(space[0])
        return table.read_at if table else 0.0

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
        """Read a namespace's table when its turn has come and there is time."""
        now = time.monotonic()
        if now >= deadline or (inode in self._tables and now < self._turn_at):
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
        self._table_seconds += time.monotonic() - now

    def _namespace(
        self,
        root: Root,
        inode: int,
        pids: Sequence[int],
        listeners: tuple[Socket, ...] | None,
    ) -> NamespaceSockets:
        pid, routes = ask(root, "net", inode, pids=pids, question=lambda pid: _routes(root, pid))
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
            pid=pid,
            listeners=None if listeners is None else listening,
            connections=(*(table.listed if table else ()), *talking),
            states=states,
            default_routes=tuple(one for one in routes or () if one.default),
            routes=None if routes is None else len(routes),
        )

    def _hold(
        self,
        root: Root,
        found: Sequence[NamespaceSockets],
        by_namespace: Mapping[int, Sequence[int]],
    ) -> None:
        """Look for the processes that have these sockets, when one is new or their time has come."""
        wanted = {
            one.inode
            for space in found
            for one in (*(space.listeners or ()), *space.connections)
            if one.inode
        }
        new = {
            one.inode for space in found for one in space.listeners or () if one.inode
        } - self._looked_for
        began = time.monotonic()
        if not new and began - self._scanned_at < self._limits.rest * self._scan_seconds:
            alive = {pid for pids in by_namespace.values() for pid in pids}
            kept = {
                inode: tuple(pid for pid in pids if pid in alive)
                for inode, pids in self._holders.items()
                if inode in wanted
            }
            self._holders = {inode: pids for inode, pids in kept.items() if pids}
            return
        few_first = sorted(by_namespace.values(), key=len)
        pids: Sequence[int] = [pid for pids in few_first for pid in pids]
        told: dict[int, tuple[int, ...]] = {}
        opened = self._who.opened()
        if opened is not None:
            told, pids = _told(opened[0].sockets, wanted, pids), opened[1]
        asked, self._complete = descriptors.holders(
            root, {f"socket:[{inode}]": inode for inode in wanted}, pids, self._limits.scan
        )
        self._holders = told | {
            inode: tuple(sorted({*told.get(inode, ()), *held})) for inode, held in asked.items()
        }
        self._looked_for = frozenset(wanted)
        self._scanned_at = began
        self._scan_seconds = max(_LEAST_SECONDS, time.monotonic() - began)


_LEAST_SECONDS: Final = 0.02
"""A search that took less is repeated as if it had taken so long: every other second or so."""


def _told(
    sockets: Mapping[int, Sequence[int]], wanted: Iterable[int], pids: Iterable[int]
) -> dict[int, tuple[int, ...]]:
    """Return which of these processes have which of these sockets open."""
    known = set(pids)
    held = {inode: known.intersection(sockets.get(inode, ())) for inode in wanted}
    return {inode: tuple(sorted(having)) for inode, having in held.items() if having}


def _among(pid: int, pids: Sequence[int]) -> bool:
    """Return whether a pid is one of those, which ascend."""
    place = bisect_left(pids, pid)
    return place < len(pids) and pids[place] == pid


_FILES: Final[tuple[tuple[Protocol, str], ...]] = (
    ("tcp", "tcp"),
    ("tcp", "tcp6"),
    ("udp", "udp"),
    ("udp", "udp6"),
)
_ROUTES_BYTES: Final = 1 << 20
"""Of a router's table; one that is longer is not counted."""


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
            found.extend(parse(data))
        except FormatError as error:
            raise Damaged(f"/{name}", "parse", str(error)) from error
    return tuple(found)
