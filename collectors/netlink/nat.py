"""Asks nftables for the rules that pass a port on to another address (nft(8), iptables-nft)."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from collectors.netlink import messages, xtables
from collectors.netlink.records import Forward
from collectors.netlink.xtables import Ports, Target
from runtime.errors import FormatError

if TYPE_CHECKING:
    from collectors.netlink.sets import Element

_GET_RULE: Final = (10 << 8) | 7
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE of linux/netfilter/nf_tables.h."""
_ANY_FAMILY: Final = bytes(4)
"""`struct nfgenmsg`."""
_MOST_RULES: Final = 20_000
_MOST_CASES: Final = 5_000
"""Of a rule, by the elements of the sets in it, and by the ways that lead to it."""
_TABLE, _CHAIN, _EXPRESSIONS = 1, 2, 4
_FAMILIES: Final = {1: "inet", 2: "ip", 10: "ip6"}
_L4PROTO: Final = 16
_NETWORK, _TRANSPORT, _DNAT = 1, 2, 1
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


class _Case(NamedTuple):
    """What is known of packets: by one element of a set, or of a map, or on the way to a chain."""

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


_Chain = tuple[int, bytes, bytes]
"""Family, table and chain."""
_Sets = Callable[[int, bytes, bytes], "Sequence[Element]"]
"""Returns what is in a set, by its family, and the names of its table and itself."""


class _Followed(NamedTuple):
    """Where a rule leads to."""

    place: _Chain
    passed: tuple[tuple[_Case, Target], ...]
    jumps: tuple[tuple[bytes, _Case], ...]
    """Other chains, and of which packets."""


class _Rule:
    """Follows a rule's expressions as the kernel would, and keeps what they compare and load.

    Registers are counted in words of four bytes, which is what the kernel makes of both their names.
    """

    def __init__(self, sets: "Callable[[bytes], Sequence[Element]]") -> None:
        self.protocol: str = ""
        self.address: str | None = None
        self.ports: tuple[Ports, ...] = ()
        self.cases: Sequence[tuple[_Case, Target | None]] = ((_Case(), None),)
        self.jumps: list[tuple[bytes, _Case]] = []
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
        """A constant: 1 register, 2 value; to register 0 a verdict, which may be a jump."""
        if _u32(said.get(1)) != 0:
            self._values[_word(said.get(1))] = _value(said.get(2))
            return
        verdict = messages.attributes(messages.attributes(said.get(2, b"")).get(2, b""))
        if chain := verdict.get(2):
            self.jumps += [(chain, one) for case, _ in self.cases for one in self.whole(case)]

    def whole(self, case: _Case) -> Iterator[_Case]:
        """Yield a case with all that the rule itself says."""
        own = _Case(self.protocol, self.address)
        for ports in (case.ports,) if case.ports is not None else (self.ports or (None,)):
            yield _both(own, case._replace(ports=ports))

    def lookup(self, said: Mapping[int, bytes]) -> None:
        """One of a set: 1 its name, 2 register; of a map 3 where its data goes; 5 flags: not one of it."""
        if _u32(said.get(5)) == _INVERTED:
            return
        word = _word(said.get(2))
        fields: list[tuple[_Place | Literal["protocol"], int]] = []
        while (field := self._holds.get(word)) is not None:
            fields.append(field)
            word += -(-field[1] // _WORD)
        verdicts = _u32(said.get(3)) == 0
        if not verdicts and not any(
            held in {"protocol", _PORT} or _is_address(held) for held, _ in fields
        ):
            return  # where it comes from, say
        to = _word(said.get(3)) if 3 in said else 0
        elements = self._sets(said.get(1, b""))
        found = [(one.chain, _case(one, fields, to)) for one in elements]
        every = ((chain, _both(before, one)) for before, _ in self.cases for chain, one in found)
        cases = list(islice(every, _MOST_CASES))
        if verdicts:
            self.jumps += [
                (chain, whole) for chain, one in cases if chain for whole in self.whole(one)
            ]
        else:
            self.cases = [(one, None) for _, one in cases]

    def forget(self, said: Mapping[int, bytes]) -> None:
        """Anything else that goes to a register: 1."""
        self._holds.pop(_word(said.get(1)), None)

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
    **dict.fromkeys(("ct", "fib", "numgen", "rt"), _Rule.forget),
    **dict.fromkeys(("byteorder", "hash", "socket"), _Rule.masked),
    "nat": _Rule.translate,
    "match": _Rule.match,
    "target": _Rule.target,
}


def forwards(opened: socket.socket) -> Iterator[Forward]:
    """Yield the rules of a namespace that pass a port on; raise as `messages.dump` does."""
    rules = messages.dump(opened, _GET_RULE, _ANY_FAMILY)
    bodies = [message.body for message in islice(rules, _MOST_RULES)]
    known: dict[_Chain, Sequence[Element]] = {}

    def elements(family: int, table: bytes, name: bytes) -> "Sequence[Element]":
        key = family, table, name
        if len(bodies) == _MOST_RULES:
            return ()  # the socket has rules that nobody has read
        if key not in known:
            from collectors.netlink import sets  # noqa: PLC0415 - only where a rule has some

            try:
                known[key] = sets.elements(opened, *key)
            except BlockingIOError:
                raise
            except OSError:
                known[key] = ()  # it went away
        return known[key]

    yield from passed_on(bodies, elements)


def passed_on(
    bodies: Sequence[bytes], elements: _Sets = lambda _family, _table, _name: ()
) -> Iterator[Forward]:
    """Yield what rules pass on; raise `FormatError` on a torn one.

    Of a rule that says no port those count that lead to its chain.
    """
    read = [_expressions(body) for body in bodies]
    # The sets of other tables may be long.
    tables = {place[:2] for place, steps in read if any(name in _TRANSLATE for name, _ in steps)}
    followed = [_follow(place, steps, elements) for place, steps in read if place[:2] in tables]
    ways: dict[_Chain, list[tuple[_Chain, _Case]]] = {}
    for one in followed:
        for chain, case in one.jumps:
            ways.setdefault((*one.place[:2], chain), []).append((one.place, case))
    known: dict[_Chain, Sequence[_Case]] = {}
    for one in followed:
        for case, to in one.passed:
            before = _before(one.place, ways, known) if case.ports is None else (_Case(),)
            for whole in dict.fromkeys(_both(other, case) for other in before):
                yield from _forwards(one.place, whole, to)


def _forwards(place: _Chain, case: _Case, to: Target) -> Iterator[Forward]:
    family, table, chain = place
    rule = f"{_FAMILIES.get(family, family)} {_text(table)} {_text(chain)}"
    if case.ports is not None:
        yield to.forward(case.ports, protocol=case.protocol, address=case.address, rule=rule)


def _before(
    place: _Chain,
    ways: Mapping[_Chain, Sequence[tuple[_Chain, _Case]]],
    known: dict[_Chain, Sequence[_Case]],
) -> Sequence[_Case]:
    """Return what is known of packets that come to a chain; nothing where none leads to it."""
    if place not in known:
        known[place] = ()  # the kernel has no loops; rules that were changed meanwhile may
        found = (
            _both(before, case)
            for source, case in ways.get(place, ())
            for before in _before(source, ways, known)
        )
        known[place] = tuple(dict.fromkeys(islice(found, _MOST_CASES))) or (_Case(),)
    return known[place]


def _expressions(body: bytes) -> tuple[_Chain, list[tuple[str, bytes]]]:
    """Return where a rule is, and its expressions by their names."""
    if len(body) < 4:
        raise FormatError("nftables: a rule without a head")
    said = messages.attributes(body[4:])
    found: list[tuple[str, bytes]] = []
    for _, element in messages.each(said.get(_EXPRESSIONS, b"")):
        expression = messages.attributes(element)
        found.append((_text(expression.get(1)), expression.get(2, b"")))
    return (body[0], said.get(_TABLE, b""), said.get(_CHAIN, b"")), found


def _follow(place: _Chain, expressions: Sequence[tuple[str, bytes]], elements: _Sets) -> _Followed:
    rule = _Rule(lambda name: elements(*place[:2], name))
    for name, data in expressions:
        rule.take(name, data)
    passed = tuple(
        (whole, to) for case, to in rule.cases if to is not None for whole in rule.whole(case)
    )
    return _Followed(place, passed, tuple(rule.jumps))


def _case(
    element: "Element", fields: Sequence[tuple[_Place | Literal["protocol"], int]], to: int
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
