"""Finds which processes have something open: by what the links in /proc/PID/fd say (proc(5))."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct

from collectors.errors import CollectError, Gone, Missing
from collectors.root import Root


class Limits(Struct, frozen=True):
    """How much looking may cost."""

    descriptors: int = 40_000
    """In all: about a tenth of a second."""
    of_process: int = 2_000
    """The lowest of one process: that is where what listens is."""


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
