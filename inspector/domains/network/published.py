"""Ports of the host's that are passed on to containers: by rules of nftables, by docker-proxy."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from collectors.kernel import network, ports
from collectors.kernel.processes import Process
from inspector.discovery.world import NET
from inspector.domains.network.model import Published
from inspector.join import Joined

_PROXIES: Final = frozenset({"docker-proxy", "rootlesskit-doc"})
"""As the kernel cuts their names off."""
FORWARDERS: Final = frozenset(
    {"rootlessport", "slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2"}
)
"""Processes that listen for a container, and that no rule tells of."""


def derive(
    joined: Joined,
    inside: Mapping[int, tuple[str, ...]],
    passing: Iterable[Process],
    more: Iterable[Published] = (),
) -> tuple[Published, ...]:
    """Return them, and `more`, by port; `inside` tells the containers of a network namespace.

    Proxies are seen only where all processes were read, as with the section `processes`: `passing`
    tells them.
    """
    reading = joined.sample.get(ports.KEY)
    told = bool(reading and reading.forwards) or bool(passing)
    owners = _addresses(joined, inside) if told else {}
    found = [
        *_rules(joined, owners),
        *_proxies(passing, owners),
        *more,
    ]
    return tuple(sorted(found, key=lambda one: (one.port, one.protocol, one.address, one.by)))


def passing(joined: Joined) -> tuple[Process, ...]:
    """Return the processes that pass ports on."""
    names = _PROXIES | FORWARDERS
    return tuple(one for one in joined.world.processes.values() if one.comm in names)


def _rules(joined: Joined, owners: Mapping[str, str]) -> Iterator[Published]:
    reading = joined.sample.get(ports.KEY)
    for one in reading.forwards if reading else ():
        yield Published(
            protocol=one.protocol or "any",
            address=one.address or ("::" if ":" in one.to_address else "0.0.0.0"),  # noqa: S104 - it is told, not bound
            port=one.port,
            to_address=one.to_address,
            to_port=one.to_port,
            container=owners.get(one.to_address),
            by=f"a rule of {one.by}, {one.rule}",
            last_port=one.last_port,
            to_last_port=one.to_last_port,
        )


def _proxies(passing: Iterable[Process], owners: Mapping[str, str]) -> Iterator[Published]:
    for process in passing:
        if process.comm in _PROXIES:
            found = _proxy(process, owners)
            if found is not None:
                yield found


def _proxy(process: Process, owners: Mapping[str, str]) -> Published | None:
    """Return what a docker-proxy passes on, by its command line; None for one of another form."""
    words = process.command
    said = {
        word.lstrip("-"): words[place + 1]
        for place, word in enumerate(words[:-1])
        if word.startswith("-")
    }
    port, to_port = said.get("host-port", ""), said.get("container-port", "")
    if not (port.isascii() and port.isdigit() and to_port.isascii() and to_port.isdigit()):
        return None
    address = said.get("container-ip", "")
    return Published(
        protocol=said.get("proto", "tcp"),
        address=said.get("host-ip", "0.0.0.0"),  # noqa: S104 - it is told, not bound
        port=int(port),
        to_address=address,
        to_port=int(to_port),
        container=owners.get(address),
        by=f"{process.comm}, pid {process.pid}",
    )


def _addresses(joined: Joined, inside: Mapping[int, tuple[str, ...]]) -> dict[str, str]:
    """Return the container that has each address, where one alone has it."""
    reading = joined.sample.get(network.LINKS)
    found: dict[str, set[str]] = {}
    for space in reading.namespaces if reading else ():
        containers = inside.get(space.namespace)
        if not containers or space.namespace == joined.world.host[NET]:
            continue
        for link in space.interfaces:
            for address in link.addresses if link.kind != "loopback" else ():
                found.setdefault(address.partition("/")[0], set()).add(containers[0])
    return {address: min(names) for address, names in found.items() if len(names) == 1}
