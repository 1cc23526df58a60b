"""Reads the interfaces of every network namespace, each once, with their counters."""

import time
from collections.abc import Mapping

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

_REST = 20
"""Times that asking took, until so much is asked again."""


def read(root: Root, who: Members | None = None) -> NetworkReading:
    """Read the counters of each network namespace: one small file each, and nothing else.

    A namespace whose last process exits meanwhile is left out.
    """
    found, problems = _namespaces(root, who)
    return NetworkReading(tuple(found), tuple(problems))


def read_links(root: Root) -> NetworkReading:
    """Read each link in detail: index, kind, addresses, peer, by rtnetlink(7).

    Of a recorded tree, and of a namespace that may not be entered, only the counters are told. Not
    to be called where an event loop runs.
    """
    return LinkReader().read(root)


class LinkReader:
    """Reads links again and again: counters each time, the rest when it may have changed.

    A namespace is asked again when its links have other names, and in turn with the others: so
    many in a frame that asking takes a twentieth of the time, for entering one costs a socket and
    some requests. A few namespaces are asked each time, hundreds every ten seconds or so.
    """

    def __init__(self, who: Members | None = None) -> None:
        """Remember nothing yet; `who` walks /proc, for others too."""
        self._who = who
        self._known: dict[int, _Known] = {}
        self._asked_at = 0.0
        self._seconds = 0.0
        """What asking one namespace took when some were asked last."""

    def read(self, root: Root) -> NetworkReading:
        """Read the counters, and ask the namespaces whose turn it is."""
        found, problems = _namespaces(root, self._who)
        if root.live:
            self._ask({one.namespace: one for one in found})
        known = [self._known.get(one.namespace) for one in found]
        problems += [one.answer.problem for one in known if one and one.answer.problem]
        detailed = tuple(
            NamespaceNetwork(
                one.namespace, one.pid, _with_details(one.interfaces, has.answer if has else None)
            )
            for one, has in zip(found, known, strict=True)
        )
        return NetworkReading(detailed, tuple(problems))

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


def _namespaces(root: Root, who: Members | None) -> tuple[list[NamespaceNetwork], list[Problem]]:
    by_namespace, denied = (who or Members()).of(root, "net")
    problems = list(denied)
    found: list[NamespaceNetwork] = []
    for inode, pids in by_namespace.items():
        try:
            pid, interfaces = ask(
                root, "net", inode, pids=pids, question=lambda pid: _counters(root, pid)
            )
        except Gone:
            continue
        except CollectError as error:
            problems.append(error.problem())
            continue
        found.append(NamespaceNetwork(inode, pid, interfaces))
    return found, problems


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
