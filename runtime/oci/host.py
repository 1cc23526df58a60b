"""What a spec must know of the host that it is built for."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runtime.formats.idmap import Extent
from runtime.linux import caps, idmap

_ID_COUNT: Final = 65536
_RESERVED: Final = (1 << 30, 1 << 31)
"""Where ids are taken from if /etc/subuid names no range for containers."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts of one host; `read` finds them out."""

    machine: str
    """As `uname -m`."""
    cpus: frozenset[int]
    """The cpus that are online."""
    capabilities: int
    """The bounding set of the process that will make the container, as a bit mask."""
    swap_accounting: bool
    """Whether memory and swap can be limited together."""
    container_ids: tuple[tuple[int, int], ...] = ()
    """First and count of the ranges of /etc/subuid that are for containers."""
    foreign_ids: tuple[tuple[int, int], ...] = ()
    """The ranges that are other users'."""
    systemd: bool = False
    """Whether systemd is this host's first process."""
    unified: bool = False
    """Whether this host has cgroup v2 alone."""
    rootless: bool = False
    """Whether it is not the host's root who makes the container."""


def read() -> HostFacts:
    """Return the facts of this host."""
    own, foreign = _subordinate_ids("/etc/subuid")
    return HostFacts(
        machine=os.uname().machine,
        cpus=_online(),
        capabilities=caps.bounding(),
        swap_accounting=_swap_accounting(),
        container_ids=own,
        foreign_ids=foreign,
        systemd=os.path.isdir("/run/systemd/system"),  # sd_booted(3)
        rootless=os.geteuid() != 0 or idmap.nested(),
        unified=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
    )


def id_map(facts: HostFacts, container_id: str, *, taken: Iterable[int] = ()) -> Extent:
    """Return 65536 ids for a container, the same for the same id, that nobody else has.

    `taken` are the first ids of the containers that have some.
    """
    slots = [
        first + offset
        for first, count in facts.container_ids or (_range_of_reserved(),)
        for offset in range(0, count - _ID_COUNT + 1, _ID_COUNT)
    ]
    used = set(taken)
    start = int(container_id[:15] or "0", 16) % len(slots)
    for index in range(len(slots)):
        base = slots[(start + index) % len(slots)]
        if base not in used and not _overlaps(base, facts.foreign_ids):
            return Extent(0, base, _ID_COUNT)
    raise LookupError("no range of 65536 user ids is free")


def _range_of_reserved() -> tuple[int, int]:
    return _RESERVED[0], _RESERVED[1] - _RESERVED[0]


def _overlaps(base: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(base < first + count and first < base + _ID_COUNT for first, count in ranges)


def _subordinate_ids(
    path: str,
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    own: list[tuple[int, int]] = []
    foreign: list[tuple[int, int]] = []
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if first.isdigit() and count.strip().isdigit():
            entry = (int(first), int(count))
            if name == "containers" and entry[1] >= _ID_COUNT:
                own.append(entry)
            else:
                foreign.append(entry)
    return tuple(own), tuple(foreign)


def _online() -> frozenset[int]:
    text = _text("/sys/devices/system/cpu/online").strip()
    return parse_cpus(text) if text else frozenset(range(os.cpu_count() or 1))


def parse_cpus(text: str) -> frozenset[int]:
    """Return the numbers of a list such as `0-3,7` (cpuset(7), "List format").

    Raises ValueError for anything else.
    """
    result: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"not a list of cpus: {text!r}")
        end = int(last) if dash else int(first)
        if end < int(first) or end > 1 << 16:
            raise ValueError(f"not a list of cpus: {text!r}")
        result.update(range(int(first), end + 1))
    return frozenset(result)


def _swap_accounting() -> bool:
    paths = (
        "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
        "/sys/fs/cgroup/cgroup.controllers",
    )
    return any(os.path.exists(path) for path in paths)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
