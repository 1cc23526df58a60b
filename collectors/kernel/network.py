"""Reads the interfaces of every network namespace, each once, with their counters."""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct, structs

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Problem
from collectors.formats import net_dev
from collectors.links import reading as links
from collectors.links.records import Interface, NamespaceNetwork
from collectors.members import Damaged, Members, ask
from collectors.root import Root
from runtime.errors import FormatError

__all__ = (
    "KEY",
    "LINKS",
    "Interface",
    "LinkReader",
    "NamespaceNetwork",
    "NetworkReading",
    "Reader",
    "read",
    "read_links",
)


class NetworkReading(Struct, frozen=True):
    """Every network namespace that has a process."""

    namespaces: tuple[NamespaceNetwork, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("network", NetworkReading)
LINKS = Key("links", NetworkReading)
"""The same with every detail."""

_TURN = 10
"""Walks after which the counters of a loopback link are read again though no process ran beside it."""
_REST = 100
"""Times that asking took, until so much is asked again."""
_ALIKE_BYTES = 1 << 11
"""What is no longer is alike in many namespaces, or in one that rests, and then understood once."""


def read(root: Root, who: Members | None = None) -> NetworkReading:
    """Read the counters of each network namespace: one small file each, and nothing else.

    A namespace whose last process exits meanwhile is left out.
    """
    return Reader(who).read(root)


def read_links(root: Root) -> NetworkReading:
    """Read each link in detail: index, kind, addresses, peer, by rtnetlink(7).

    Of a recorded tree, and of a namespace that may not be entered, only the counters are told. Not
    to be called where an event loop runs.
    """
    return LinkReader().read(root)


class _Resting:
    """Knows in which namespaces no packet can have come or gone.

    In one that has a loopback link only, nothing is sent while none of its processes runs; it does not
    rest in every `_TURN`th walk, for a socket in it may be another's.
    """

    def __init__(self, who: Members) -> None:
        """Remember nothing yet."""
        self._who = who
        self._walk = 0

    def of(
        self,
        root: Root,
        by_namespace: Mapping[int, Sequence[int]],
        known: Mapping[int, NamespaceNetwork],
    ) -> frozenset[int]:
        """Return those of which what is known holds; raise as `Members.changed`."""
        ran, self._walk = self._who.changed(root, "net", self._walk)
        if ran is None:
            return frozenset()
        turn = self._walk % _TURN
        return frozenset(
            [
                inode
                for inode, before in known.items()
                if (inode + turn) % _TURN
                and inode not in ran
                and _alone(before)
                and inode in by_namespace
                and before.pid == by_namespace[inode][0]
            ]
        )


def _alone(one: NamespaceNetwork) -> bool:
    return len(one.interfaces) == 1 and one.interfaces[0].name == "lo"


class Reader:
    """Reads counters again and again: each time where a packet may have come or gone."""

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._resting = _Resting(self._who)
        self._known: dict[int, NamespaceNetwork] = {}

    def read(self, root: Root) -> NetworkReading:
        """Return each namespace's counters, as `read` does."""
        by_namespace, denied = self._who.of(root, "net")
        resting = self._resting.of(root, by_namespace, self._known)
        problems = list(denied)
        found: dict[int, NamespaceNetwork] = {}
        for inode, pids in by_namespace.items():
            before = self._known.get(inode)
            if before is not None and inode in resting:
                found[inode] = before
                continue
            try:
                one = NamespaceNetwork(inode, *_counted(root, inode, pids))
            except Gone:
                continue
            except CollectError as error:
                problems.append(error.problem())
                continue
            found[inode] = before if before is not None and before == one else one
        self._known = found
        return NetworkReading(tuple(found.values()), tuple(problems))


class LinkReader:
    """Reads links again and again: counters each time, the rest when it may have changed.

    A namespace is asked again when its links have other names, and in turn with the others: so
    many in a frame that asking takes a hundredth of the time, for entering one costs a socket and
    some requests. Some tens of namespaces are asked each time, hundreds every few seconds. One that
    is asked tells its counters too.
    """

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._resting = _Resting(self._who)
        self._told: dict[int, NamespaceNetwork] = {}
        self._known: dict[int, _Known] = {}
        self._asked_at = 0.0
        self._seconds = 0.0
        """What asking one namespace took when some were asked last."""

    def read(self, root: Root) -> NetworkReading:
        """Ask the namespaces whose turn it is, and read the counters of the others."""
        by_namespace, denied = self._who.of(root, "net")
        problems = list(denied)
        resting = self._resting.of(root, by_namespace, self._told)
        self._known = {inode: one for inode, one in self._known.items() if inode in by_namespace}
        pids = {inode: some[0] for inode, some in by_namespace.items()}
        asked: dict[int, NamespaceNetwork] = {}
        if root.live:
            asked = self._ask(self._due(by_namespace, resting), pids)
        found: dict[int, NamespaceNetwork] = {}
        others: dict[int, int] = {}
        for inode, some in by_namespace.items():
            one = asked.get(inode)
            if one is None and inode in resting:
                one = self._told[inode]
            if one is None:
                try:
                    one = self._counted(root, inode, some)
                except Gone:
                    continue
                except CollectError as error:
                    problems.append(error.problem())
                    continue
                if self._differs(one):
                    others[inode] = one.pid
            found[inode] = one
        if root.live and others:
            found |= self._ask(list(others), pids | others)
        before = self._told
        self._told = {
            inode: before[inode] if inode in before and before[inode] == one else one
            for inode, one in found.items()
        }
        answers = [self._known[inode].answer for inode in found if inode in self._known]
        problems += [one.problem for one in answers if one.problem is not None]
        return NetworkReading(tuple(self._told.values()), tuple(problems))

    def _counted(self, root: Root, inode: int, pids: Sequence[int]) -> NamespaceNetwork:
        """Return a namespace with the counters of now, and what else is known of each link."""
        pid, interfaces = _counted(root, inode, pids)
        known = self._known.get(inode)
        return NamespaceNetwork(
            inode, pid, _with_details(interfaces, known.answer if known is not None else None)
        )

    def _differs(self, one: NamespaceNetwork) -> bool:
        """Return whether there are other links than were told of, or nothing was."""
        known = self._known.get(one.namespace)
        if known is None:
            return True
        told = known.answer.interfaces
        return told is not None and [link.name for link in told] != [
            link.name for link in one.interfaces
        ]

    def _ask(self, due: Sequence[int], pids: Mapping[int, int]) -> dict[int, NamespaceNetwork]:
        """Return what these namespaces say, as far as they do; `pids` has a process of every one."""
        if not due:
            return {}
        began = time.monotonic()
        answers = links.of_namespaces({inode: pids[inode] for inode in due}, pids)
        self._seconds = (time.monotonic() - began) / len(due)
        self._known |= {inode: _Known(answer, began) for inode, answer in answers.items()}
        return {
            inode: NamespaceNetwork(inode, pids[inode], answer.interfaces)
            for inode, answer in answers.items()
            if answer.interfaces is not None
        }

    def _due(self, by_namespace: Mapping[int, Sequence[int]], resting: frozenset[int]) -> list[int]:
        """Return those that are new, and of those that do not rest the ones asked longest ago."""
        now = time.monotonic()
        new = [inode for inode in by_namespace if inode not in self._known]
        cost = self._seconds * _REST
        many = int((now - self._asked_at) / cost) if cost else len(by_namespace)
        if not many:
            return new
        self._asked_at = now
        rest = sorted(self._known.keys() - resting, key=lambda inode: self._known[inode].asked_at)
        return new + rest[:many]


class _Known(NamedTuple):
    """What a namespace said of its links, and when it was asked."""

    answer: links.Answer
    asked_at: float


def _with_details(
    counted: tuple[Interface, ...], answer: links.Answer | None
) -> tuple[Interface, ...]:
    """Return links with what is known of each by its name, and the counters of now."""
    if answer is None or answer.interfaces is None:
        return counted
    details = {one.name: one for one in answer.interfaces}
    return tuple(
        structs.replace(details[one.name], counters=one.counters) if one.name in details else one
        for one in counted
    )


def _counted(root: Root, inode: int, pids: Sequence[int]) -> tuple[int, tuple[Interface, ...]]:
    """Return a namespace's links with their counters, and by which process; raise as `ask` does."""
    return ask(root, "net", inode, pids=pids, question=lambda pid: _counters(root, pid))


def _counters(root: Root, pid: int) -> tuple[Interface, ...]:
    name = f"proc/{pid}/net/dev"
    try:
        data = root.read(name)
        return _parsed(data) if len(data) <= _ALIKE_BYTES else _parse(data)
    except FormatError as error:
        raise Damaged(f"/{name}", "parse", str(error)) from error


def _parse(data: bytes) -> tuple[Interface, ...]:
    return tuple(
        Interface(
            name=interface,
            index=None,
            kind=None,
            up=None,
            mac=None,
            addresses=(),
            peer_index=None,
            peer_namespace_id=None,
            counters=values,
        )
        for interface, values in net_dev.parse(data).items()
    )


_parsed = lru_cache(maxsize=1024)(_parse)
