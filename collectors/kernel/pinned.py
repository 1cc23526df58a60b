"""Reads network namespaces that no process is in: bind-mounted ones, as of `ip netns`, and open ones."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from msgspec import Struct

from collectors import netns
from collectors.collector import Key
from collectors.errors import CollectError, Missing, Problem, Problems
from collectors.formats import net_route
from collectors.formats.net_route import Route
from collectors.links.records import NamespaceNetwork, NamespaceSockets
from collectors.members import Members
from collectors.netlink.records import Socket
from collectors.root import Root
from runtime.errors import FormatError

_REST = 20
"""Times that asking them took, until they are asked again; one that is new is asked at once."""
_MOST = 500
_ROUTES_BYTES = 1 << 20

Doors = Mapping[int, Sequence[str]]
"""Paths by which a namespace can be opened, by its inode."""


class PinnedReading(Struct, frozen=True):
    """What the other readings of the network say of namespaces that have processes."""

    links: tuple[NamespaceNetwork, ...]
    sockets: tuple[NamespaceSockets, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("pinned", PinnedReading)


class Inside(Struct, frozen=True):
    """What was asked in one namespace."""

    routes: tuple[Route, ...] | None
    listeners: tuple[Socket, ...] | None


class Reader:
    """Reads again and again; `doors` tells of the namespaces that have no process."""

    def __init__(self, doors: Callable[[], Doors], who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._doors = doors
        self._who = who or Members()
        self._last = PinnedReading((), ())
        self._known: frozenset[int] = frozenset()
        self._read_at = 0.0
        self._seconds = 0.0

    def read(self, root: Root) -> PinnedReading:
        """Ask each through the first of its doors that opens; a recorded tree has none."""
        doors = dict(islice(sorted(self._doors().items()), _MOST)) if root.live else {}
        now = time.monotonic()
        if frozenset(doors) == self._known and now - self._read_at < _REST * self._seconds:
            return self._last
        self._last = self._read(root, doors) if doors else PinnedReading((), ())
        self._known, self._read_at = frozenset(doors), now
        self._seconds = time.monotonic() - now
        return self._last

    def _read(self, root: Root, doors: Doors) -> PinnedReading:
        # Peers are recognized by a process of the namespace that they are in.
        inhabited, _ = self._who.of(root, "net")
        return _read(root, doors, {inode: pids[0] for inode, pids in inhabited.items()})


def _read(root: Root, doors: Doors, inhabited: Mapping[int, int]) -> PinnedReading:
    # Loaded only where there are such namespaces.
    from collectors.links import rtnetlink  # noqa: PLC0415

    problems = Problems()
    links: list[NamespaceNetwork] = []
    sockets: list[NamespaceSockets] = []
    order = iter(doors)
    while batch := list(islice(order, netns.AT_ONCE)):
        paths = {inode: doors[inode] for inode in batch}
        with netns.within(paths, lambda: _inside(root)) as (opened, said, refused):
            found, failed = rtnetlink.links(opened, inhabited)
        for problem in (*refused.values(), *failed.values()):
            problems.add(problem)
        links += [NamespaceNetwork(inode, 0, interfaces) for inode, interfaces in found.items()]
        sockets += [_sockets(inode, one) for inode, one in said.items()]
    return PinnedReading(tuple(links), tuple(sockets), problems.all())


def _inside(root: Root) -> Inside:
    """Ask, on a thread that is in the namespace: its own files of /proc are that namespace's."""
    return Inside(_routes(root), _listeners())


def _routes(root: Root) -> tuple[Route, ...] | None:
    found: list[Route] = []
    for file, parse in (("route", net_route.parse), ("ipv6_route", net_route.parse_v6)):
        try:
            data = root.read(f"proc/thread-self/net/{file}", most_bytes=_ROUTES_BYTES)
            if len(data) >= _ROUTES_BYTES:
                return None
            if data:
                found.extend(parse(data))
        except Missing:
            continue  # the kernel was built without this family
        except (CollectError, FormatError):
            return None
    return tuple(found)


def _listeners() -> tuple[Socket, ...] | None:
    from collectors.netlink import sock_diag  # noqa: PLC0415 - as in `sockets`

    try:
        with netns.here(netns.SOCK_DIAG) as opened:
            return tuple(sock_diag.listeners(opened))
    except (OSError, FormatError):
        return None


def _sockets(inode: int, said: Inside) -> NamespaceSockets:
    listening = said.listeners
    return NamespaceSockets(
        namespace=inode,
        pid=0,
        listeners=None if listening is None else tuple(one for one in listening if one.listens),
        connections=tuple(one for one in listening or () if not one.listens),
        states=None,
        default_routes=tuple(one for one in said.routes or () if one.default),
        routes=None if said.routes is None else len(said.routes),
    )
