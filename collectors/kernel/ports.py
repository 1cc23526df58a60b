"""Reads which ports are passed on to other addresses: nftables' rules of the reader's own namespace."""

import os
import time
from typing import Final

from msgspec import Struct

from collectors import netns
from collectors.collector import Key
from collectors.errors import Denied, Problem
from collectors.netlink.records import Forward
from collectors.root import Root, translate
from runtime.errors import FormatError

__all__ = ("KEY", "Forward", "ForwardsReader", "ForwardsReading")

_REST: Final = 50.0
"""Times that reading took, until it is read again."""


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
        """Return the rules; none in a recorded tree, and where there is no nftables."""
        if not root.live:
            return ForwardsReading(0, ())
        now = time.monotonic()
        if self._last is not None and now - self._read_at < _REST * self._seconds:
            return self._last
        self._last = _read()
        self._read_at, self._seconds = now, time.monotonic() - now
        return self._last


def _read() -> ForwardsReading:
    # Not loaded for a recorded tree, nor by what asks for no ports.
    from collectors.netlink import nat  # noqa: PLC0415

    inode = os.stat("/proc/self/ns/net").st_ino
    opened, problems = netns.enter({inode: os.getpid()}, netns.NETFILTER)
    one = opened.get(inode)
    if one is None:
        return ForwardsReading(inode, (), tuple(problems.values()))
    with one:
        try:
            return ForwardsReading(inode, tuple(nat.forwards(one)))
        except OSError as error:
            failed = translate(error, "nftables", "netlink")
            denied = isinstance(failed, Denied)
            return ForwardsReading(inode, (), (failed.problem(),) if denied else ())
        except FormatError as error:
            problem = Problem("/nftables", "parse", "format", str(error))
            return ForwardsReading(inode, (), (problem,))
