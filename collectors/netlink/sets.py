"""Reads what is in a set, or a map, of nftables: its elements, intervals as ranges."""

import socket
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from collectors.netlink import messages

_GET: Final = (10 << 8) | 13
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM of linux/netfilter/nf_tables.h."""
_TABLE, _SET, _LIST = 1, 2, 3
"""NFTA_SET_ELEM_LIST_…"""
_KEY, _DATA, _FLAGS, _KEY_END = 1, 2, 3, 10
"""NFTA_SET_ELEM_…"""
_VALUE, _VERDICT, _CHAIN = 1, 2, 2
"""NFTA_DATA_VALUE, NFTA_DATA_VERDICT, and NFTA_VERDICT_CHAIN within it."""
_INTERVAL_END: Final = b"\0\0\0\1"
MOST: Final = 5_000
"""Elements of a set that are told."""


class Element(NamedTuple):
    """One of a set's; the last key is the first one where it is no range."""

    first: bytes
    last: bytes
    data: bytes
    """Of a map."""
    chain: bytes
    """Of a map of verdicts, where one jumps: its name as the kernel has it, with the zero."""


def elements(opened: socket.socket, family: int, table: bytes, name: bytes) -> tuple[Element, ...]:
    """Return what is in a set; raise as `messages.dump` does. Names end with a zero."""
    head = struct.pack("=B3x", family)
    body = head + messages.attribute(_TABLE, table) + messages.attribute(_SET, name)
    found: list[Element] = []
    ends: list[bytes] = []
    for message in messages.dump(opened, _GET, body):
        listed = messages.attributes(message.body[len(head) :]).get(_LIST, b"")
        for _, element in messages.each(listed):
            said = messages.attributes(element)
            key, _ = data(said.get(_KEY))
            if said.get(_FLAGS) == _INTERVAL_END:
                ends.append(key)
            elif len(found) < MOST:
                last, _ = data(said.get(_KEY_END))
                found.append(Element(key, last or key, *data(said.get(_DATA))))
    return tuple(found) if not ends else tuple(_ranges(found, sorted(ends)))


def data(nested: bytes | None) -> tuple[bytes, bytes]:
    """Return the value of nested data, and the chain of its verdict; empty where it is none."""
    said = messages.attributes(nested or b"")
    verdict = messages.attributes(said.get(_VERDICT, b""))
    return said.get(_VALUE, b""), verdict.get(_CHAIN, b"")


def _ranges(starts: Sequence[Element], ends: Sequence[bytes]) -> Iterator[Element]:
    """Yield the elements of intervals, each up to what is before the next end: or up to the last key."""
    for one in starts:
        place = bisect_right(ends, one.first)
        size = len(one.first)
        after = int.from_bytes(ends[place], "big") if place < len(ends) else 1 << (8 * size)
        if after:
            yield one._replace(last=(after - 1).to_bytes(size, "big"))
