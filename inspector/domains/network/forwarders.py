"""Ports of the host's that a process passes on: rootlessport, slirp4netns, pasta, which engines start without root.

No rule tells of them. They listen on the host, and lead into another network namespace: by what stands last
on their command line (slirp4netns(1), pasta(1)), or by a child that is in it.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Final

from collectors.kernel import mounts, namespaces, processes, sockets
from collectors.kernel.processes import Process
from inspector.discovery.world import NET
from inspector.domains.network.model import Published
from inspector.domains.network.published import FORWARDERS
from inspector.join import Joined

_OF_PROCESS: Final = re.compile(r"/proc/([0-9]+)/ns/net", re.ASCII)
_SPECIFIED: Final = re.compile(
    r"(?:.*/)?([0-9]{1,5})(?:-([0-9]{1,5}))?(?::([0-9]{1,5})(?:-[0-9]{1,5})?)?", re.ASCII
)
"""pasta's `-t` and `-u`: an address, ports, and those that they are within."""


def derive(joined: Joined, inside: Mapping[int, tuple[str, ...]]) -> Iterator[Published]:
    """Yield what such processes listen on; `inside` tells the containers of a network namespace.

    They are seen only where all processes were read. What only the process itself knows, is None.
    """
    reading = joined.sample.get(sockets.KEY)
    read = joined.sample.get(processes.KEY)
    by_pid = {
        one.pid: one for one in read.processes if one.comm in FORWARDERS
    } if read else {}  # fmt: skip
    if reading is None or not by_pid:
        return
    host = joined.world.host[NET]
    listeners = next((one.listeners for one in reading.namespaces if one.namespace == host), ())
    leads = _Leads(joined)
    for one in listeners or ():
        holder = next((pid for pid in reading.holders.get(one.inode, ()) if pid in by_pid), None)
        if holder is None:
            continue
        containers = inside.get(leads.to(by_pid[holder]) or 0, ())
        yield Published(
            protocol=one.protocol,
            address=one.address,
            port=one.port,
            to_address=None,
            to_port=_specified(by_pid[holder].command, one.protocol, one.port),
            container=containers[0] if containers else None,
            by=f"{by_pid[holder].comm}, pid {holder}",
        )


class _Leads:
    """Finds the network namespace that a process leads to."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        self._host = joined.world.host[NET]
        spaces = joined.sample.get(namespaces.KEY)
        self._of = {one.pid: one.inodes[NET] for one in spaces.memberships} if spaces else {}
        listed = joined.sample.get(mounts.KEY)
        self._mounted = {
            mount.mountpoint: int(mount.root[5:-1])
            for space in (listed.namespaces if listed else ())
            for mount in space.mounts
            if mount.fstype == "nsfs" and re.fullmatch(r"net:\[[0-9]+\]", mount.root)
        }

    def to(self, process: Process) -> int | None:
        """Return its inode; None where it cannot be told."""
        read = self._joined.sample.get(processes.KEY)
        children = (one.pid for one in read.processes if one.ppid == process.pid) if read else ()
        found = chain(map(self._named, _words(process.command)), map(self._of.get, children))
        return next((inode for inode in found if inode not in {None, self._host}), None)

    def _named(self, word: str) -> int | None:
        if word in self._mounted:
            return self._mounted[word]
        match = _OF_PROCESS.fullmatch(word)
        pid = match[1] if match else word
        return self._of.get(int(pid)) if pid.isascii() and pid.isdigit() else None


def _words(command: tuple[str, ...]) -> Iterator[str]:
    """Yield what may name a namespace: what follows `--netns`, and what stands last."""
    for place, word in enumerate(command):
        if word == "--netns":
            yield from command[place + 1 : place + 2]
    yield from reversed(command[-2:])


def _specified(command: tuple[str, ...], protocol: str, port: int) -> int | None:
    """Return the port that pasta was told to pass one on to."""
    options = {"-t", "--tcp-ports"} if protocol == "tcp" else {"-u", "--udp-ports"}
    for option, value in pairwise(command):
        for said in value.split(",") if option in options else ():
            match = _SPECIFIED.fullmatch(said)
            if match is None:
                continue
            first, last, to = (int(one) if one else None for one in match.groups())
            if first is not None and first <= port <= (last or first):
                return port if to is None else to + port - first
    return None
