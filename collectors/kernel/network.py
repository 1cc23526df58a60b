"""Reads the interfaces of every network namespace, each once, with their counters."""

import time
from collections.abc import Mapping, Sequence
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
_REST = 20
"""Times that asking took, until so much is asked again."""


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


class Reader:
    """Reads counters again and again: each time where a packet may have come or gone.

    In a namespace that has a loopback link only, nothing is sent while none of its processes runs;
    it is read in every `_TURN`th walk then, for a socket in it may be another's.
    """

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who or Members()
        self._known: dict[int, NamespaceNetwork] = {}
        self._walk = 0

    def read(self, root: Root) -> NetworkReading:
        """Return each namespace's counters, as `read` does."""
        by_namespace, denied = self._who.of(root, "net")
        ran, self._walk = self._who.changed(root, "net", self._walk)
        problems = list(denied)
        found: dict[int, NamespaceNetwork] = {}
        for inode, pids in by_namespace.items():
            before = self._known.get(inode)
            if before is not None and ran is not None and inode not in ran:
                turn = (self._walk + inode) % _TURN == 0
                if not turn and _alone(before) and before.pid == pids[0]:
                    found[inode] = before
                    continue
            try:
                one = _counted(root, inode, pids)
            except Gone:
                continue
            except CollectError as error:
                problems.append(error.problem())
                continue
            found[inode] = before if before is not None and before == one else one
        self._known = found
        return NetworkReading(tuple(found.values()), tuple(problems))


def _alone(one: NamespaceNetwork) -> bool:
    return [link.name for link in one.interfaces] == ["lo"]


class LinkReader:
    """Reads links again and again: counters each time, the rest when it may have changed.

    A namespace is asked again when its links have other names, and in turn with the others: so
    many in a frame that asking takes a twentieth of the time, for entering one costs a socket and
    some requests. A few namespaces are asked each time, hundreds every ten seconds or so.
    """

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._counters = Reader(who)
        self._told: dict[int, _Told] = {}
        self._known: dict[int, _Known] = {}
        self._asked_at = 0.0
        self._seconds = 0.0
        """What asking one namespace took when some were asked last."""

    def read(self, root: Root) -> NetworkReading:
        """Read the counters, and ask the namespaces whose turn it is."""
        counted = self._counters.read(root)
        found, problems = counted.namespaces, list(counted.problems)
        if root.live:
            self._ask({one.namespace: one for one in found})
        known = [self._known.get(one.namespace) for one in found]
        problems += [one.answer.problem for one in known if one and one.answer.problem]
        self._told = {
            one.namespace: self._detailed(one, has.answer if has else None)
            for one, has in zip(found, known, strict=True)
        }
        return NetworkReading(tuple([one.detailed for one in self._told.values()]), tuple(problems))

    def _detailed(self, counted: NamespaceNetwork, answer: links.Answer | None) -> "_Told":
        """Return a namespace's links with their details: the record of before if both are the same."""
        before = self._told.get(counted.namespace)
        if before is not None and before.counted is counted and before.answer is answer:
            return before
        interfaces = _with_details(counted.interfaces, answer)
        one = NamespaceNetwork(counted.namespace, counted.pid, interfaces)
        return _Told(counted, answer, one)

    def _ask(self, found: Mapping[int, NamespaceNetwork]) -> None:
        self._known = {inode: known for inode, known in self._known.items() if inode in found}
        began = time.monotonic()
        due = self._due(found, began)
        pids = {inode: one.pid for inode, one in found.items()}
        answers = links.of_namespaces({inode: pids[inode] for inode in due}, pids)
        if due:
            self._seconds = (time.monotonic() - began) / len(due)
        for inode, answer in answers.items():
            self._known[inode] = _Known(answer, _names(found[inode]), began)

    def _due(self, found: Mapping[int, NamespaceNetwork], now: float) -> list[int]:
        """Return those with other links, and of the others those asked longest ago."""
        changed = [
            inode
            for inode, one in found.items()
            if inode not in self._known or self._known[inode].names != _names(one)
        ]
        cost = self._seconds * _REST
        many = min(len(found), int((now - self._asked_at) / cost)) if cost else len(found)
        if not many:
            return changed
        self._asked_at = now
        rest = sorted(found.keys() - set(changed), key=lambda inode: self._known[inode].asked_at)
        return changed + rest[:many]


class _Told(NamedTuple):
    """A namespace with its details, and what it was made from."""

    counted: NamespaceNetwork
    answer: links.Answer | None
    detailed: NamespaceNetwork


class _Known(Struct, frozen=True):
    answer: links.Answer
    names: tuple[str, ...]
    asked_at: float


def _names(found: NamespaceNetwork) -> tuple[str, ...]:
    return tuple(one.name for one in found.interfaces)


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


def _counted(root: Root, inode: int, pids: Sequence[int]) -> NamespaceNetwork:
    """Return a namespace's links with their counters; raise as `ask` does."""
    pid, interfaces = ask(root, "net", inode, pids=pids, question=lambda pid: _counters(root, pid))
    return NamespaceNetwork(inode, pid, interfaces)


def _counters(root: Root, pid: int) -> tuple[Interface, ...]:
    name = f"proc/{pid}/net/dev"
    try:
        counters = net_dev.parse(root.read(name))
    except FormatError as error:
        raise Damaged(f"/{name}", "parse", str(error)) from error
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
        for interface, values in counters.items()
    )
