"""The network section of a container's page: links and their other ends, what listens, who talks."""

from collections.abc import Iterator, Sequence
from typing import Final

from inspector import units
from inspector.domains.containers.model import Container
from inspector.domains.network.model import (
    Connection,
    Interface,
    Listener,
    NetworkNamespace,
    Published,
)
from screens.moment import Moment
from screens.widgets import cells
from screens.widgets.cells import Line, Piece

_LISTENERS: Final = 12
_CONNECTIONS: Final = 8


def network(container: Container, moment: Moment) -> list[Line]:
    """Return the section: of a shared namespace only what its own processes do."""
    inode = container.namespaces.get("net")
    space = moment.network_by_inode.get(inode or 0)
    shared = "net" in container.shared_with_host
    lines: list[Line] = [((" NETWORK ", "title"), ("the host's" if shared else "", "dim"))]
    if shared:
        lines.append((("   no counters of its own: it shares the host's interfaces", "dim"),))
    else:
        for one in moment.interfaces:
            if one.namespace == inode:
                lines += _interface(one, moment)
    if space is not None:
        lines += _routes(space) if not shared else ()
        lines += _listeners(space, container, shared=shared)
        lines += _published(container, moment)
        lines += _connections(space, container, shared=shared)
        lines += _states(space) if not shared else ()
    return [*lines, cells.BLANK]


def _interface(one: Interface, moment: Moment) -> Iterator[Line]:
    counters = f"rx {units.size(one.rx_bytes)} tx {units.size(one.tx_bytes)}"
    down: Piece = (" down", "paused") if one.up is False else ("", "plain")
    addresses = " ".join(one.addresses)
    yield (
        (f"   {one.interface:<14} ", "dim"),
        (counters, "plain"),
        down,
        (f" {addresses}", "plain"),
    )
    lost = one.rx_errors + one.tx_errors + one.rx_dropped + one.tx_dropped
    if lost:
        said = f"{one.rx_errors + one.tx_errors} errors, {one.rx_dropped + one.tx_dropped} dropped"
        yield ((" " * 18, "plain"), (said, "pressed"))
    if one.peer is not None:
        yield ((" " * 18, "plain"), ("⇄ ", "accent"), (_other_end(one, moment), "plain"))


def _other_end(one: Interface, moment: Moment) -> str:
    """Return where the other end is, and the bridge that it is a port of."""
    peer = one.peer
    if peer is None or peer.namespace is None:
        return "somewhere that may not be entered"
    where = "here"
    if peer.namespace != one.namespace:
        space = moment.network_by_inode.get(peer.namespace)
        owner = moment.container_name(space.container) if space else None
        hosts = moment.frame.host.init_namespaces.get("net") == peer.namespace
        where = "the host" if hosts else owner or f"namespace {peer.namespace}"
    master = next(
        (
            other.master
            for other in moment.interfaces
            if (other.namespace, other.interface) == (peer.namespace, peer.interface)
        ),
        None,
    )
    bridge = f", a port of {master}" if master else ""
    return f"{peer.interface or '?'} ({where}{bridge})"


def _routes(space: NetworkNamespace) -> Iterator[Line]:
    for route in space.default_routes:
        via = f"via {route.gateway} " if route.gateway else ""
        yield _pair("default route", f"{via}by {route.interface}")
    if space.routes is not None:
        yield _pair("routes", str(space.routes) if space.routes else "none")


def _listeners(space: NetworkNamespace, container: Container, *, shared: bool) -> Iterator[Line]:
    if space.listeners is None:
        yield _pair("listens", "could not be read")
        return
    mine = [one for one in space.listeners if not shared or one.container == container.id]
    if not mine:
        yield _pair("listens", "on nothing")
    for place, one in enumerate(mine[:_LISTENERS]):
        yield _pair("" if place else "listens", _listener(one))
    if len(mine) > _LISTENERS:
        yield _pair("", f"… and {len(mine) - _LISTENERS} more")


def _listener(one: Listener) -> str:
    at = f"[{one.address}]" if ":" in one.address else one.address
    who = f"{one.command or 'pid'} {one.pids[0]}" if one.pids else "by a process that was not found"
    return f"{f'{at}:{one.port}/{one.protocol}':<22} {who}"


def _connections(space: NetworkNamespace, container: Container, *, shared: bool) -> Iterator[Line]:
    """Tell who is talked to: what is open first; of the host's namespace its own alone."""
    mine = [one for one in space.connections if not shared or one.container == container.id]
    mine.sort(key=lambda one: (one.state != "established", one.remote_address, one.remote_port))
    for place, one in enumerate(mine[:_CONNECTIONS]):
        yield _pair("" if place else "connected", _connection(one))
    if len(mine) > _CONNECTIONS:
        yield _pair("", f"… and {len(mine) - _CONNECTIONS} more")


def _connection(one: Connection) -> str:
    ends = " → ".join(
        f"{f'[{address}]' if ':' in address else address}:{port}"
        for address, port in ((one.address, one.port), (one.remote_address, one.remote_port))
    )
    who = f"  pid {one.pids[0]}" if one.pids else ""
    return f"{ends}/{one.protocol}  {one.state}{who}"


def _published(container: Container, moment: Moment) -> Iterator[Line]:
    mine: Sequence[str] = list(
        dict.fromkeys(
            _passed_on(one)
            for space in moment.network_by_inode.values()
            for one in space.published
            if one.container == container.id
        )
    )
    for place, said in enumerate(mine):
        yield _pair("" if place else "published", said)


def _passed_on(one: Published) -> str:
    at = f"[{one.address}]" if ":" in one.address else one.address
    first, last = (
        "?" if port is None else str(port) if end is None else f"{port}-{end}"
        for port, end in ((one.port, one.last_port), (one.to_port, one.to_last_port))
    )
    return f"{at}:{first}/{one.protocol} → {last}"


def _states(space: NetworkNamespace) -> Iterator[Line]:
    if space.tcp_states:
        ordered = sorted(space.tcp_states.items(), key=lambda item: -item[1])
        yield _pair("tcp", ", ".join(f"{count} {state}" for state, count in ordered))


def _pair(label: str, value: str) -> Line:
    return ((f"   {label:<14} ", "dim"), (value, "plain"))
