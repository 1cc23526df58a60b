"""Reads the interfaces of every network namespace, each once, with their counters."""

from msgspec import Struct

from collectors.collector import Key
from collectors.errors import CollectError, Gone, Problem
from collectors.formats import net_dev
from collectors.links import reading as links
from collectors.links.records import Interface
from collectors.members import Damaged, ask, members
from collectors.root import Root
from runtime.errors import FormatError

__all__ = ("KEY", "Interface", "NamespaceNetwork", "NetworkReading", "read", "read_links")


class NamespaceNetwork(Struct, frozen=True):
    """One network namespace's links."""

    namespace: int
    """Inode."""
    pid: int
    """The process through which it was read."""
    interfaces: tuple[Interface, ...]


class NetworkReading(Struct, frozen=True):
    """Every network namespace that has a process."""

    namespaces: tuple[NamespaceNetwork, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("network", NetworkReading)


def read(root: Root) -> NetworkReading:
    """Read the counters of each network namespace: one small file each, and nothing else.

    A namespace whose last process exits meanwhile is left out.
    """
    found, problems = _namespaces(root)
    return NetworkReading(tuple(found), tuple(problems))


def read_links(root: Root) -> NetworkReading:
    """Read each link in detail: index, kind, addresses, peer, by rtnetlink(7).

    Costs a socket and some requests for each namespace. Of a recorded tree, and of a namespace
    that may not be entered, only the counters are told. Not to be called where an event loop runs.
    """
    found, problems = _namespaces(root)
    if not root.live:
        return NetworkReading(tuple(found), tuple(problems))
    details, refused = links.of_namespaces({one.namespace: one.pid for one in found})
    detailed = tuple(
        NamespaceNetwork(one.namespace, one.pid, details.get(one.namespace, one.interfaces))
        for one in found
    )
    return NetworkReading(detailed, (*problems, *refused))


def _namespaces(root: Root) -> tuple[list[NamespaceNetwork], list[Problem]]:
    by_namespace, denied = members(root, "net")
    problems = list(denied)
    found: list[NamespaceNetwork] = []
    for inode, pids in by_namespace.items():
        try:
            pid, interfaces = ask(pids, lambda pid: _counters(root, pid))
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
