"""Reads which ports are passed on to other addresses, by rules of the reader's own network namespace."""

import os
import time
from typing import Final

from msgspec import Struct

from collectors import netns
from collectors.collector import Key
from collectors.errors import CollectError, Denied, Missing, Problem
from collectors.netlink.records import Forward
from collectors.root import Root, translate
from runtime.errors import FormatError

__all__ = ("KEY", "Forward", "ForwardsReader", "ForwardsReading")

_REST: Final = 50.0
"""Times that reading took, until it is read again."""
_TABLES: Final = ("ip_tables_names", "ip6_tables_names")


class ForwardsReading(Struct, frozen=True):
    """The rules of one network namespace."""

    namespace: int
    """Inode."""
    forwards: tuple[Forward, ...]
    problems: tuple[Problem, ...] = ()


KEY = Key("ports", ForwardsReading)


class ForwardsReader:
    """Reads again and again, and rests between: orchestrators have thousands of rules."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._last: ForwardsReading | None = None
        self._read_at = 0.0
        self._seconds = 0.0

    def read(self, root: Root) -> ForwardsReading:
        """Return the rules of nftables and of legacy iptables; none in a recorded tree."""
        if not root.live:
            return ForwardsReading(0, ())
        now = time.monotonic()
        if self._last is not None and now - self._read_at < _REST * self._seconds:
            return self._last
        self._last = _read(root)
        self._read_at, self._seconds = now, time.monotonic() - now
        return self._last


def _read(root: Root) -> ForwardsReading:
    inode = os.stat("/proc/self/ns/net").st_ino
    forwards, problems = _nftables(inode)
    for said, problem in (_legacy(root, file) for file in _TABLES):
        forwards += said
        problems += () if problem is None else (problem,)
    return ForwardsReading(inode, forwards, problems)


def _nftables(inode: int) -> tuple[tuple[Forward, ...], tuple[Problem, ...]]:
    # Not loaded for a recorded tree, nor by what asks for no ports.
    from collectors.netlink import nat  # noqa: PLC0415

    opened, problems = netns.enter({inode: os.getpid()}, netns.NETFILTER)
    one = opened.get(inode)
    if one is None:
        return (), tuple(problems.values())
    with one:
        try:
            return tuple(nat.forwards(one)), ()
        except OSError as error:
            failed = translate(error, "nftables", "netlink")
            return (), (failed.problem(),) if isinstance(failed, Denied) else ()
        except FormatError as error:
            return (), (Problem("/nftables", "parse", "format", str(error)),)


def _legacy(root: Root, file: str) -> tuple[tuple[Forward, ...], Problem | None]:
    """Return what legacy iptables passes on of one family: of a table that is there already."""
    name = f"proc/self/net/{file}"
    try:
        if b"nat" not in root.read(name).split():
            return (), None
    except Missing:
        return (), None
    except CollectError as error:
        return (), error.problem()
    from collectors.netlink import legacy  # noqa: PLC0415 - most hosts have none

    try:
        return legacy.forwards(legacy.FAMILIES[file]), None
    except OSError as error:
        return (), translate(error, name, "getsockopt").problem()
    except FormatError as error:
        return (), Problem(f"/{name}", "parse", "format", str(error))
