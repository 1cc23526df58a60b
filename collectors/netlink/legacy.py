"""Reads the nat tables of legacy iptables, for the rules that pass a port on (linux/netfilter_ipv4/ip_tables.h).

A table is one block of memory: entries one after the other, each a head, its matches, its target.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from msgspec import structs

from collectors.netlink import xtables
from collectors.netlink.records import Forward
from collectors.netlink.xtables import Ports, Target
from runtime.errors import FormatError

_INFO, _ENTRIES = 64, 65
"""IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; those of IPv6 have the same numbers."""
_NAT: Final = b"nat".ljust(32, b"\0")
_GET_INFO: Final = struct.Struct("=32sI5I5III")
"""`struct ipt_getinfo`: name, hooks in use, where each begins, where each ends, entries, bytes."""
_GET_ENTRIES_HEAD: Final = 40
"""`struct ipt_get_entries`: name, size, and the gap before what is aligned to eight."""
_MOST: Final = 32 << 20
"""Bytes of a table: some hundred thousand rules."""
_TRIES: Final = 4
_PART: Final = struct.Struct("=H29sB")
"""`struct xt_entry_match` and `struct xt_entry_target`: size, name, revision."""
_HOOKS: Final = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
"""By NF_INET_*'s number."""
_INVERTED_PROTOCOL, _INVERTED_DESTINATION = 0x40, 0x10


class Family(NamedTuple):
    """One of the two layouts: offsets within an entry, in bytes."""

    name: str
    number: int
    level: int
    """Of getsockopt(2): SOL_IP, SOL_IPV6."""
    address: int
    """Bytes of one."""
    protocol_at: int
    inverted_at: int
    offsets_at: int
    """Of the target, then of the next entry: 16 bits each."""
    head: int
    """Bytes before the first match."""


IPV4: Final = Family("ip", socket.AF_INET, 0, 4, 80, 83, 88, 112)
IPV6: Final = Family("ip6", socket.AF_INET6, 41, 16, 128, 132, 140, 168)
FAMILIES: Final[Mapping[str, Family]] = {"ip_tables_names": IPV4, "ip6_tables_names": IPV6}
"""By the file in /proc/net that lists a namespace's tables. To ask for one that it does not list makes it."""


def forwards(family: Family) -> tuple[Forward, ...]:
    """Return the rules of the calling thread's own namespace that pass a port on.

    Raises OSError as the kernel answers, `FormatError` for a table that is torn.
    """
    with socket.socket(family.number, socket.SOCK_DGRAM) as opened:
        for _ in range(_TRIES):
            found = _forwards(opened, family)
            if found is not None:
                return found
    raise OSError(errno.EAGAIN, "the table changes all the time")


def _forwards(opened: socket.socket, family: Family) -> tuple[Forward, ...] | None:
    """Ask how long the table is, then for it; None when it was changed between the two."""
    said = _GET_INFO.unpack(_ask(opened, family, _INFO, _NAT, _GET_INFO.size))
    hooks, starts, size = said[1], said[2:7], said[13]
    if size > _MOST:
        raise OSError(errno.EFBIG, f"a table of {size} bytes")
    question = struct.pack("=32sI", _NAT, size)
    try:
        data = _ask(opened, family, _ENTRIES, question, _GET_ENTRIES_HEAD + size)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return None
        raise
    chains = {at: _HOOKS[hook] for hook, at in enumerate(starts) if hooks & 1 << hook}
    return tuple(parse(family, data[_GET_ENTRIES_HEAD:], chains))


def parse(family: Family, table: bytes, chains: Mapping[int, str]) -> Iterator[Forward]:
    """Yield what a table passes on; `chains` tells the built-in ones by where they begin.

    Raises `FormatError` for offsets that cannot be.
    """
    at, chain = 0, ""
    while at < len(table):
        if len(table) - at < family.head:
            raise FormatError(f"iptables: {len(table) - at} bytes at the end are no entry")
        target_at, length = struct.unpack_from("=HH", table, at + family.offsets_at)
        if not family.head <= target_at <= length - _PART.size or length > len(table) - at:
            raise FormatError(f"iptables: an entry says that it is {length} bytes long")
        entry = table[at : at + length]
        chain = chains.get(at, chain)
        name, revision, info = _part(entry[target_at:])
        if name == "ERROR":
            chain = xtables.text(info)  # a chain of the user's own begins, or the table ends
        to = xtables.destination(name, revision, info)
        if to is not None:
            yield from _passed_on(family, entry[:target_at], chain, to)
        at += length


def _passed_on(family: Family, entry: bytes, chain: str, to: Target) -> Iterator[Forward]:
    (number,) = struct.unpack_from("=H", entry, family.protocol_at)
    inverted = entry[family.inverted_at]
    protocol = "" if inverted & _INVERTED_PROTOCOL else xtables.PROTOCOLS.get(number, "")
    for ports in _ports(entry, family.head):
        yield structs.replace(
            to.forward(
                ports,
                protocol=protocol,
                address=None if inverted & _INVERTED_DESTINATION else _destination(family, entry),
                rule=f"{family.name} nat {chain}",
            ),
            by="legacy iptables",
        )


def _ports(entry: bytes, at: int) -> tuple[Ports, ...]:
    """Return what the first match on ports lets through."""
    while at < len(entry):
        (length,) = struct.unpack_from("=H", entry, at) if len(entry) - at >= 2 else (0,)
        if not _PART.size <= length <= len(entry) - at:
            raise FormatError(f"iptables: a match says that it is {length} bytes long")
        name, _, info = _part(entry[at : at + length])
        if found := xtables.destination_ports(name, info):
            return found
        at += length
    return ()


def _part(data: bytes) -> tuple[str, int, bytes]:
    _, name, revision = _PART.unpack_from(data)
    return xtables.text(name), revision, data[_PART.size :]


def _destination(family: Family, entry: bytes) -> str | None:
    """Return the one address that a rule is for; None for any, or for a network."""
    size = family.address
    if entry[3 * size : 4 * size] != b"\xff" * size:
        return None
    return socket.inet_ntop(family.number, entry[size : 2 * size])


def _ask(opened: socket.socket, family: Family, option: int, question: bytes, size: int) -> bytes:
    """Call getsockopt(2) with a question in the buffer, which Python's own does not take."""
    buffer = ctypes.create_string_buffer(question, max(size, len(question)))
    length = ctypes.c_uint32(size)
    call = ctypes.CDLL(None, use_errno=True).getsockopt
    if call(opened.fileno(), family.level, option, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "getsockopt")
    if length.value != size:
        raise FormatError(f"iptables: {length.value} bytes where {size} were asked for")
    return buffer.raw[:size]
