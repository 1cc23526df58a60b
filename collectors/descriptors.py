"""Finds which processes have something open: by what the links in /proc/PID/fd say (proc(5))."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from collectors.errors import CollectError, Gone, Missing
from collectors.members import Members
from collectors.root import Root

_LEAST_SECONDS: Final = 0.02
"""A search that took less is repeated as if it had taken so long: every other second or so."""


class Limits(Struct, frozen=True):
    """How much looking may cost."""

    descriptors: int = 40_000
    """In all: about a tenth of a second."""
    of_process: int = 2_000
    """The lowest of one process: that is where what listens is."""


class SocketHolders:
    """Looks for the processes that have sockets: when one is new, or its time has come."""

    def __init__(self, who: Members, limits: Limits, rest: float) -> None:
        """Take how many times as long as a search took it rests, unless a socket is new."""
        self._who, self._limits, self._rest = who, limits, rest
        self._holders: dict[int, tuple[int, ...]] = {}
        self._looked_for: frozenset[int] = frozenset()
        self._scanned_at = 0.0
        self._seconds = 0.0
        self._among: Mapping[int, Sequence[int]] | None = None
        self.complete = True
        """Whether every process's descriptors were looked at."""

    def of(
        self,
        root: Root,
        wanted: frozenset[int],
        listening: frozenset[int],
        by_namespace: Mapping[int, Sequence[int]],
    ) -> Mapping[int, tuple[int, ...]]:
        """Return who of all processes has these sockets, by their inodes.

        One that is `listening` is looked for as soon as it is met, others as seldom as may be.
        """
        began = time.monotonic()
        if listening <= self._looked_for and began - self._scanned_at < self._rest * self._seconds:
            self._drop(wanted, by_namespace)
            return self._holders
        few_first = sorted(by_namespace.values(), key=len)
        pids: Sequence[int] = [pid for pids in few_first for pid in pids]
        told: dict[int, tuple[int, ...]] = {}
        opened = self._who.opened(again=False) if wanted else None
        if opened is not None and not wanted <= opened[0].sockets.keys():
            opened = self._who.opened()  # opened since
        if opened is not None:
            told, pids = _told(opened[0].sockets, wanted, pids), opened[1]
        asked, self.complete = holders(
            root, {f"socket:[{inode}]": inode for inode in wanted}, pids, self._limits
        )
        self._holders = told | {
            inode: tuple(sorted({*told.get(inode, ()), *held})) for inode, held in asked.items()
        }
        self._looked_for, self._among = wanted, by_namespace
        self._scanned_at = began
        self._seconds = max(_LEAST_SECONDS, time.monotonic() - began)
        return self._holders

    def _drop(self, wanted: frozenset[int], by_namespace: Mapping[int, Sequence[int]]) -> None:
        """Forget the sockets and the processes that are not there any more."""
        if by_namespace is self._among and self._holders.keys() <= wanted:
            return
        self._among = by_namespace
        alive = {pid for pids in by_namespace.values() for pid in pids}
        kept = {
            inode: tuple(pid for pid in pids if pid in alive)
            for inode, pids in self._holders.items()
            if inode in wanted
        }
        self._holders = {inode: pids for inode, pids in kept.items() if pids}


def _told(
    sockets: Mapping[int, Sequence[int]], wanted: Iterable[int], pids: Iterable[int]
) -> dict[int, tuple[int, ...]]:
    """Return which of these processes have which of these sockets open."""
    known = set(pids)
    held = {inode: known.intersection(sockets.get(inode, ())) for inode in wanted}
    return {inode: tuple(sorted(having)) for inode, having in held.items() if having}


def holders(
    root: Root, wanted: Mapping[str, int], pids: Iterable[int], limits: Limits
) -> tuple[dict[int, tuple[int, ...]], bool]:
    """Return the pids that have something open, and whether all processes were looked at whole.

    `wanted` tells by what a link says under which number to return it, as `socket:[12]`: 12.
    """
    found: dict[int, set[int]] = {}
    left, complete = limits.descriptors, True
    for pid in pids if wanted else ():
        if left <= 0:
            complete = False
            break
        try:
            links = list(_links(root, pid, limits.of_process))
        except (Missing, Gone):
            continue
        except (CollectError, OSError):
            complete = False  # another user's: said once, by whoever walks /proc
            continue
        left -= len(links)
        complete = complete and len(links) < limits.of_process
        for _, link in links:
            number = wanted.get(link)
            if number is not None:
                found.setdefault(number, set()).add(pid)
    return {number: tuple(sorted(held)) for number, held in found.items()}, complete


def _links(root: Root, pid: int, most: int) -> Iterator[tuple[str, str]]:
    with root.directory(f"proc/{pid}/fd", listed=True) as directory:
        with os.scandir(directory.fd) as scan:
            names = [entry.name for entry in islice(scan, most)]
        for name, link in zip(names, directory.links(names), strict=True):
            if link is not None:
                yield name, link
