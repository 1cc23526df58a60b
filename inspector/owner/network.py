"""Owners of interfaces, addresses, ports and connections."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from inspector.domains.network.model import (
    Connection,
    Interface,
    Listener,
    NetworkNamespace,
    Published,
)
from inspector.owner import question
from inspector.owner.facts import Facts
from inspector.owner.model import Answer, Miss, Question

_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - it is compared, not bound
_HOST_PORT: Final = "a port of the host's"


def interface(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for an interface's name or index: the host's with that name, else any container's."""
    name = asked.value.partition("@")[0]
    found = [one for one in facts.interfaces if name in {one.interface, str(one.index)}]
    on_host = [one for one in found if facts.is_hosts(one.namespace)]
    if not found:
        where = "on the host or in a container" if facts.interfaces else "that could be read"
        return Miss("interface", f"there is no interface {name} {where}")
    chain: list[str] = []
    owners: list[str] = []
    for one in on_host or found:
        steps, ids = _interface(one, facts)
        chain += steps
        owners += ids
    instead = None
    if not owners:
        first = (on_host or found)[0]
        instead = f"an interface of {facts.where(first.namespace)} ({first.kind or 'kind unknown'})"
        instead = instead.replace("the host's network namespace", "the host")
    return Answer(
        kind="interface",
        subject=f"interface {name}",
        owners=facts.owners(owners),
        chain=tuple(chain),
        instead=instead,
    )


def address(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for an IP address: the namespace where an interface has it."""
    wanted = str(ipaddress.ip_address(asked.value))
    found = [
        one
        for one in facts.interfaces
        if any(_bare(address) == wanted for address in one.addresses)
    ]
    if not found:
        return Miss("address", f"no interface that could be read has the address {wanted}")
    if ipaddress.ip_address(wanted).is_loopback:
        found = [one for one in found if facts.is_hosts(one.namespace)] or found[:1]
    chain: list[str] = []
    owners: list[str] = []
    for one in found:
        chain.append(f"{wanted} is an address of {one.interface} in {facts.where(one.namespace)}")
        steps, ids = _namespace(one.namespace, facts)
        chain += steps
        owners += ids
    host = all(facts.is_hosts(one.namespace) for one in found)
    return Answer(
        kind="address",
        subject=f"address {wanted}",
        owners=facts.owners(owners),
        chain=tuple(chain),
        instead=None if owners else "an address of the host's" if host else "nobody's known here",
    )


def port(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a port: what listens there on the host, then in containers, or publishes it."""
    wanted, number, protocol = question.port(asked.value)
    chain: list[str] = []
    owners: list[str] = []
    subject = f"port {number}" + (f"/{protocol}" if protocol else "")
    for space in facts.networks:
        for one in space.listeners or ():
            fits = one.port == number and protocol in {None, one.protocol}
            if fits and (wanted is None or one.address in {wanted, *_ANY}):
                steps, ids = _listener(space, one, facts)
                chain += steps
                owners += ids
        for passed in space.published:
            last = passed.last_port or passed.port
            if passed.port <= number <= last and protocol in {None, passed.protocol}:
                steps, ids = _published(passed, facts)
                chain += steps
                owners += ids
    if not chain:
        return Miss("port", f"nothing that could be read listens on {subject}")
    return Answer(
        kind="port",
        subject=subject,
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else _HOST_PORT,
    )


def connection(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a connection by one of its ends, or by both."""
    ends = question.connection(asked.value)
    chain: list[str] = []
    owners: list[str] = []
    for space in facts.networks:
        for one in space.connections:
            if set(ends) <= {(one.address, one.port), (one.remote_address, one.remote_port)}:
                steps, ids = _connection(space, one, facts)
                chain += steps
                owners += ids
        for listener in space.listeners or ():
            if len(ends) == 1 and (listener.address, listener.port) == ends[0]:
                steps, ids = _listener(space, listener, facts)
                chain += steps
                owners += ids
    said = " and ".join(_end(*end) for end in ends)
    if not chain and len(ends) == 1:
        # A server bound to all addresses: whose is this one?
        return _by_address(ends[0], said, facts)
    if not chain:
        return Miss("connection", f"no connection that could be read is between {said}")
    return Answer(
        kind="connection",
        subject=f"connection {said}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else "a connection of the host's own",
    )


def _published(passed: Published, facts: Facts) -> tuple[list[str], list[str]]:
    end = _ports(_end(passed.address, passed.port), passed.last_port)
    if passed.to_address is None or passed.to_port is None:
        said = f"{end}/{passed.protocol} of the host is passed on by {passed.by}"
        if passed.container is None:
            return [said, "which container it leads to is not known"], []
        return [said, f"it leads to {facts.name(passed.container)}"], [passed.container]
    to = _ports(_end(passed.to_address, passed.to_port), passed.to_last_port)
    said = f"{end}/{passed.protocol} of the host is passed on to {to} by {passed.by}"
    if passed.container is None:
        return [said, f"{passed.to_address} is no known container's"], []
    return [said, f"{passed.to_address} is {facts.name(passed.container)}'s"], [passed.container]


def _ports(first: str, last: int | None) -> str:
    return first if last is None else f"{first}-{last}"


def _by_address(end: tuple[str, int], said: str, facts: Facts) -> Answer | Miss:
    spaces = {
        one.namespace
        for one in facts.interfaces
        if any(_bare(address) == end[0] for address in one.addresses)
    }
    chain: list[str] = []
    owners: list[str] = []
    for space in facts.networks:
        for one in space.listeners or ():
            if space.inode in spaces and one.port == end[1] and one.address in _ANY:
                chain.append(f"{end[0]} is an address in {facts.where(space.inode)}")
                steps, ids = _listener(space, one, facts)
                chain += steps
                owners += ids
    if not chain:
        return Miss(
            "connection", f"nothing that could be read is connected to, or listens on, {said}"
        )
    return Answer(
        kind="connection",
        subject=f"listener {said}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else _HOST_PORT,
    )


def _interface(one: Interface, facts: Facts) -> tuple[list[str], list[str]]:
    """Return the chain from an interface to containers, and their ids."""
    where = facts.where(one.namespace)
    kind = one.kind or "its kind could not be read"
    chain = [f"{one.interface} is an interface ({kind}) in {where}"]
    if not facts.is_hosts(one.namespace):
        steps, ids = _namespace(one.namespace, facts)
        return chain + steps, ids
    ports = [other for other in facts.interfaces if _is_port(other, one)]
    if one.master is not None:
        chain.append(f"it is a port of {one.master}")
    if one.kind == "veth":
        steps, ids = _other_end(one, facts)
        return chain + steps, ids
    for other in ports:
        ids = _other_end(other, facts)[1]
        whose = f", which leads to {facts.name(ids[0])}" if ids else ""
        chain.append(f"its port {other.interface} is a {other.kind}{whose}")
    return chain, []


def _is_port(other: Interface, bridge: Interface) -> bool:
    return other.namespace == bridge.namespace and other.master == bridge.interface


def _other_end(one: Interface, facts: Facts) -> tuple[list[str], list[str]]:
    peer = one.peer
    if peer is None or peer.namespace is None:
        return [
            "its other end is in a namespace without a process, or one that may not be entered"
        ], []
    name = peer.interface or "an interface"
    chain = [f"its other end is {name} in {facts.where(peer.namespace)}"]
    steps, ids = _namespace(peer.namespace, facts)
    return chain + steps, ids


def _namespace(inode: int, facts: Facts) -> tuple[list[str], list[str]]:
    """Return whose a network namespace is."""
    if facts.is_hosts(inode):
        return [], []
    ids = facts.members(inode)
    if not ids:
        return [f"no container has {facts.where(inode)}"], []
    shared = " and ".join(facts.name(one) for one in ids)
    verb = "share it" if len(ids) > 1 else "has it as its own"
    return [f"{shared} {verb}"], ids


def _listener(space: NetworkNamespace, one: Listener, facts: Facts) -> tuple[list[str], list[str]]:
    at = _end(one.address, one.port)
    chain = [f"{at}/{one.protocol} is listened on in {facts.where(space.inode)}"]
    steps, ids = _holders(one.pids, one.container, space, facts)
    return chain + steps, ids


def _connection(
    space: NetworkNamespace, one: Connection, facts: Facts
) -> tuple[list[str], list[str]]:
    ends = f"{_end(one.address, one.port)} → {_end(one.remote_address, one.remote_port)}"
    chain = [f"{ends} is a {one.protocol} connection ({one.state}) in {facts.where(space.inode)}"]
    steps, ids = _holders(one.pids, one.container, space, facts)
    return chain + steps, ids


def _holders(
    pids: Sequence[int], container: str | None, space: NetworkNamespace, facts: Facts
) -> tuple[list[str], list[str]]:
    """Return who has a socket open: its processes' container, else that of the namespace."""
    if pids:
        listed = ", ".join(facts.process(pid) for pid in pids[:4])
        chain = [f"{listed} {'has' if len(pids) == 1 else 'have'} the socket open"]
    else:
        chain = ["no process could be found that has the socket open"]
    owners = _of_pids(pids, facts)
    if owners:
        chain += [f"which belongs to {facts.name(one)}" for one in owners]
        return chain, owners
    if container is None and not space.host:
        steps, owners = _namespace(space.inode, facts)
        return chain + steps, owners
    return chain, [container] if container else []


def _of_pids(pids: Iterable[int], facts: Facts) -> list[str]:
    found = (facts.processes[pid].container for pid in pids if pid in facts.processes)
    return list(dict.fromkeys(one for one in found if one is not None))


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _end(address: str, number: int) -> str:
    return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
