"""Asks nftables for the rules that pass a port on to another address (nft(8), iptables-nft)."""

import os
import socket
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, NamedTuple

from collectors.netlink import messages, xtables
from collectors.netlink.records import Forward
from collectors.netlink.xtables import Ports, Target
from runtime.errors import FormatError

_GET_RULE: Final = (10 << 8) | 7
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE of linux/netfilter/nf_tables.h."""
_GET_ELEMENTS: Final = (10 << 8) | 13
"""NFT_MSG_GETSETELEM."""
_ANY_FAMILY: Final = bytes(4)
"""`struct nfgenmsg`."""
_MOST_RULES: Final = 20_000
_MOST_ELEMENTS: Final = 5_000
"""Of a set, and so many ports of a rule."""
_TABLE, _CHAIN, _EXPRESSIONS = 1, 2, 4
_FAMILIES: Final = {1: "inet", 2: "ip", 10: "ip6"}
_L4PROTO: Final = 16
_NETWORK, _TRANSPORT = 1, 2
_DNAT: Final = 1
_ELEMENTS: Final = 3
_KEY, _DATA, _FLAGS, _KEY_END = 1, 2, 3, 10
"""NFTA_SET_ELEM_…"""
_INTERVAL_END: Final = b"\0\0\0\1"
_INVERTED: Final = 1
_WORD: Final = 4
_FIRST_OF_ONE_WORD: Final = 8
"""NFT_REG32_00."""
_EQUAL, _AT_MOST, _AT_LEAST = 0, 3, 5
"""NFT_CMP_EQ, NFT_CMP_LTE, NFT_CMP_GTE."""
_ADDRESSES: Final = {(16, 4): socket.AF_INET, (24, 16): socket.AF_INET6}
"""Where the destination is in a header, and how long it is."""


class _Place(NamedTuple):
    """What a register holds a copy of."""

    base: int
    offset: int


class _Element(NamedTuple):
    """One of a set's; the last key is the first one where it is no range. In maps it has data."""

    first: bytes
    last: bytes
    data: bytes


class _Case(NamedTuple):
    """What one element of a set, or of a map, says of packets that are in it."""

    protocol: str = ""
    address: str | None = None
    ports: Ports | None = None
    data: bytes = b""
    word: int = 0
    """Which register the data goes to."""

    def value(self, word: int, size: int) -> bytes:
        """Return what is in a register then, as far as the data reaches it."""
        at = (word - self.word) * _WORD
        return self.data[at : at + size] if at >= 0 else b""


_Sets = Callable[[str], Sequence[_Element]]


class _Rule:
    """Follows a rule's expressions as the kernel would, and keeps what they compare and load.

    Registers are counted in words of four bytes, which is what the kernel makes of both their names.
    """

    def __init__(self, sets: _Sets) -> None:
        self.protocol: str = ""
        self.address: str | None = None
        self.ports: tuple[Ports, ...] = ()
        self.cases: Sequence[tuple[_Case, Target | None]] = ((_Case(), None),)
        self._sets = sets
        self._least: int | None = None
        self._holds: dict[int, tuple[_Place | Literal["protocol"], int]] = {}
        """What is in a register, and how many bytes that is."""
        self._values: dict[int, bytes] = {}

    def take(self, name: str, data: bytes) -> None:
        """Take in one expression; those that are of no interest change nothing."""
        step = _STEPS.get(name)
        if step is not None:
            step(self, messages.attributes(data))

    def meta(self, said: Mapping[int, bytes]) -> None:
        """`meta l4proto`: attributes 1 register, 2 key."""
        self._holds.pop(_word(said.get(1)), None)
        if _u32(said.get(2)) == _L4PROTO:
            self._holds[_word(said.get(1))] = "protocol", 1

    def payload(self, said: Mapping[int, bytes]) -> None:
        """Bytes of the packet: 1 register, 2 header, 3 offset, 4 how many."""
        place = _Place(_u32(said.get(2)), _u32(said.get(3)))
        self._holds[_word(said.get(1))] = place, max(1, _u32(said.get(4)))

    def compare(self, said: Mapping[int, bytes]) -> None:
        """Compare: 1 register, 2 operator, 3 value."""
        held, _ = self._holds.get(_word(said.get(1)), (None, 0))
        value = _value(said.get(3))
        operator = _u32(said.get(2))
        if held is None or not value:
            return
        if held == _PORT and len(value) == 2:
            self._port(operator, int.from_bytes(value, "big"))
        elif operator != _EQUAL:
            return
        elif held == "protocol":
            self.protocol = xtables.PROTOCOLS.get(value[0], "")
        elif held.base == _NETWORK:
            family = _ADDRESSES.get((held.offset, len(value)))
            if family is not None:
                self.address = socket.inet_ntop(family, value)

    def _port(self, operator: int, port: int) -> None:
        """A range is two comparisons, the lower end first."""
        if operator == _EQUAL:
            self.ports = (Ports(port, port),)
        elif operator == _AT_LEAST:
            self._least = port
        elif operator == _AT_MOST and self._least is not None and self._least <= port:
            self.ports = (Ports(self._least, port),)

    def between(self, said: Mapping[int, bytes]) -> None:
        """A range: 1 register, 2 operator, 3 first, 4 last."""
        first, last = _value(said.get(3)), _value(said.get(4))
        held, _ = self._holds.get(_word(said.get(1)), (None, 0))
        if held != _PORT or _u32(said.get(2)) != _EQUAL:
            return
        if len(first) == len(last) == 2:
            self.ports = (Ports(int.from_bytes(first, "big"), int.from_bytes(last, "big")),)

    def masked(self, said: Mapping[int, bytes]) -> None:
        """`bitwise`: 2 is the register that holds a part of something from then on."""
        self._holds.pop(_word(said.get(2)), None)

    def load(self, said: Mapping[int, bytes]) -> None:
        """A constant: 1 register, 2 value."""
        self._values[_word(said.get(1))] = _value(said.get(2))

    def lookup(self, said: Mapping[int, bytes]) -> None:
        """One of a set: 1 its name, 2 register; of a map 3 where its data goes; 5 flags: not one of it."""
        if _u32(said.get(5)) == _INVERTED:
            return
        word = _word(said.get(2))
        fields: list[tuple[_Place | Literal["protocol"], int]] = []
        while (field := self._holds.get(word)) is not None:
            fields.append(field)
            word += -(-field[1] // _WORD)
        if not any(held in {"protocol", _PORT} or _is_address(held) for held, _ in fields):
            return  # where it comes from, say
        to = _word(said.get(3)) if 3 in said else 0
        elements = self._sets(_text(said.get(1)))
        found = [_case(one, fields, to) for one in elements]
        both = ((_both(before, one), None) for before, _ in self.cases for one in found)
        self.cases = tuple(islice(both, _MOST_ELEMENTS))

    def translate(self, said: Mapping[int, bytes]) -> None:
        """`nat`: 1 type, 2 family, 3 register of the address, 5 of the port, 6 of the last of a range."""
        if _u32(said.get(1)) != _DNAT:
            return
        size = 16 if _u32(said.get(2)) == socket.AF_INET6 else 4
        place, first, last = (_word(said.get(number)) for number in (3, 5, 6))
        self.cases = [
            (case, self._target(case, (place, size), first, last)) for case, _ in self.cases
        ]

    def _target(self, case: _Case, place: tuple[int, int], first: int, last: int) -> Target | None:
        address = _address(case.value(*place) or self._values.get(place[0], b""))
        if address is None:
            return None
        return Target(address, self._number(case, first), self._number(case, last))

    def _number(self, case: _Case, word: int) -> int | None:
        number = case.value(word, 2) or self._values.get(word, b"")[:2]
        return int.from_bytes(number, "big") if len(number) == 2 else None

    def match(self, said: Mapping[int, bytes]) -> None:
        """An extension of iptables': 1 name, 3 its struct."""
        name = _text(said.get(1))
        found = xtables.destination_ports(name, said.get(3, b""))
        if found:
            self.ports = found
        if name in xtables.PROTOCOLS.values():
            self.protocol = name

    def target(self, said: Mapping[int, bytes]) -> None:
        """A target of iptables': 1 name, 2 revision, 3 its struct."""
        to = xtables.destination(_text(said.get(1)), _u32(said.get(2)), said.get(3, b""))
        if to is not None:
            self.cases = [(case, to) for case, _ in self.cases]


_PORT: Final = _Place(_TRANSPORT, 2)
_TRANSLATE: Final = frozenset({"nat", "target"})
_STEPS: Final = {
    "meta": _Rule.meta,
    "payload": _Rule.payload,
    "cmp": _Rule.compare,
    "range": _Rule.between,
    "bitwise": _Rule.masked,
    "immediate": _Rule.load,
    "lookup": _Rule.lookup,
    "nat": _Rule.translate,
    "match": _Rule.match,
    "target": _Rule.target,
}


def forwards(opened: socket.socket) -> Iterator[Forward]:
    """Yield the rules of a namespace that pass a port on; raise as `messages.dump` does."""
    rules = messages.dump(opened, _GET_RULE, _ANY_FAMILY)
    bodies = [message.body for message in islice(rules, _MOST_RULES)]
    known: dict[bytes, Sequence[_Element]] = {}

    def elements(family: int, table: bytes, name: bytes) -> Sequence[_Element]:
        if len(bodies) == _MOST_RULES:
            return ()  # the socket has rules that nobody has read
        body = (
            struct.pack("=B3x", family) + messages.attribute(1, table) + messages.attribute(2, name)
        )
        if body not in known:
            try:
                known[body] = _elements(opened, body)
            except BlockingIOError:
                raise
            except OSError:
                known[body] = ()  # it went away
        return known[body]

    for body in bodies:
        yield from parse(body, elements)


def _no_elements(_family: int, _table: bytes, _name: bytes) -> Sequence[_Element]:
    return ()


def parse(
    body: bytes,
    elements: Callable[[int, bytes, bytes], Sequence[_Element]] = _no_elements,
) -> tuple[Forward, ...]:
    """Return what a rule passes on, nothing when it is no such rule; raise `FormatError` on a torn one.

    `elements` tells what is in a set, by its family, and the names of its table and itself.
    """
    if len(body) < 4:
        raise FormatError("nftables: a rule without a head")
    said = messages.attributes(body[4:])
    table = said.get(_TABLE, b"")
    expressions = [
        messages.attributes(element) for _, element in messages.each(said.get(_EXPRESSIONS, b""))
    ]
    if not any(_text(one.get(1)) in _TRANSLATE for one in expressions):
        return ()  # whose sets may be long
    rule = _Rule(lambda name: elements(body[0], table, os.fsencode(name) + b"\0"))
    for expression in expressions:
        rule.take(_text(expression.get(1)), expression.get(2, b""))
    family = _FAMILIES.get(body[0], str(body[0]))
    where = f"{family} {_text(table)} {_text(said.get(_CHAIN))}"
    return tuple(
        to.forward(
            ports,
            protocol=case.protocol or rule.protocol,
            address=case.address or rule.address,
            rule=where,
        )
        for case, to in rule.cases
        if to is not None
        for ports in ((case.ports,) if case.ports is not None else rule.ports)
    )


def _elements(opened: socket.socket, body: bytes) -> tuple[_Element, ...]:
    """Return what is in a set: of one of intervals the ranges; raise as `messages.dump` does."""
    found: list[_Element] = []
    ends: list[bytes] = []
    for message in messages.dump(opened, _GET_ELEMENTS, body):
        listed = messages.attributes(message.body[4:]).get(_ELEMENTS, b"")
        for _, element in messages.each(listed):
            said = messages.attributes(element)
            key = _value(said.get(_KEY))
            if said.get(_FLAGS) == _INTERVAL_END:
                ends.append(key)
            elif len(found) < _MOST_ELEMENTS:
                last = _value(said.get(_KEY_END)) or key
                found.append(_Element(key, last, _value(said.get(_DATA))))
    return tuple(found) if not ends else tuple(_ranges(found, sorted(ends)))


def _ranges(starts: Sequence[_Element], ends: Sequence[bytes]) -> Iterator[_Element]:
    """Yield the elements of intervals, each up to what is before the next end: or up to the last key."""
    for one in starts:
        place = bisect_right(ends, one.first)
        size = len(one.first)
        after = int.from_bytes(ends[place], "big") if place < len(ends) else 1 << (8 * size)
        if after:
            yield one._replace(last=(after - 1).to_bytes(size, "big"))


def _case(
    element: _Element, fields: Sequence[tuple[_Place | Literal["protocol"], int]], to: int
) -> _Case:
    """Return what an element says: each field of its key begins with a word of its own."""
    case, at = _Case(data=element.data, word=to), 0
    for held, size in fields:
        first, last = element.first[at : at + size], element.last[at : at + size]
        at += -(-size // _WORD) * _WORD
        if held == _PORT and len(first) == len(last) == 2:
            ports = Ports(int.from_bytes(first, "big"), int.from_bytes(last, "big"))
            case = case._replace(ports=ports)
        elif held == "protocol" and first:
            case = case._replace(protocol=xtables.PROTOCOLS.get(first[0], ""))
        elif _is_address(held) and first == last:
            case = case._replace(address=_address(first))
    return case


def _both(one: _Case, other: _Case) -> _Case:
    """Return what two sets say together."""
    said = other if other.data else one
    return _Case(
        other.protocol or one.protocol,
        other.address or one.address,
        other.ports or one.ports,
        said.data,
        said.word,
    )


def _is_address(held: _Place | Literal["protocol"]) -> bool:
    """Return whether it is where packets go to."""
    return held != "protocol" and held.base == _NETWORK and held.offset in {16, 24}


def _word(data: bytes | None) -> int:
    """Return where a register begins: 1 to 4 have four words each, those from 8 on are one of them."""
    register = _u32(data)
    return (register - 1) * 4 if register < _FIRST_OF_ONE_WORD else register - _FIRST_OF_ONE_WORD


def _u32(data: bytes | None) -> int:
    return int.from_bytes(data, "big") if data is not None and len(data) == 4 else -1


def _text(data: bytes | None) -> str:
    return xtables.text(data or b"")


def _value(data: bytes | None) -> bytes:
    """Return the bytes of a nested value (NFTA_DATA_VALUE)."""
    return messages.attributes(data).get(1, b"") if data else b""


def _address(raw: bytes) -> str | None:
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    return socket.inet_ntop(socket.AF_INET6, raw) if len(raw) == 16 else None
