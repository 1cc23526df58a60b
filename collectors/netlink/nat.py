"""Asks nftables for the rules that pass a port on to another address (nft(8), iptables-nft)."""

import socket
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, Literal, NamedTuple

from collectors.netlink import messages, xtables
from collectors.netlink.records import Forward
from collectors.netlink.xtables import Ports, Target
from runtime.errors import FormatError

_GET_RULE: Final = (10 << 8) | 7
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE of linux/netfilter/nf_tables.h."""
_ANY_FAMILY: Final = bytes(4)
"""`struct nfgenmsg`."""
_MOST_RULES: Final = 20_000
_TABLE, _CHAIN, _EXPRESSIONS = 1, 2, 4
_FAMILIES: Final = {1: "inet", 2: "ip", 10: "ip6"}
_L4PROTO: Final = 16
_NETWORK, _TRANSPORT = 1, 2
_DNAT: Final = 1
_EQUAL, _AT_MOST, _AT_LEAST = 0, 3, 5
"""NFT_CMP_EQ, NFT_CMP_LTE, NFT_CMP_GTE."""
_ADDRESSES: Final = {(16, 4): socket.AF_INET, (24, 16): socket.AF_INET6}
"""Where the destination is in a header, and how long it is."""


class _Place(NamedTuple):
    """What a register holds a copy of."""

    base: int
    offset: int


class _Rule:
    """Follows a rule's expressions as the kernel would, and keeps what they compare and load."""

    def __init__(self) -> None:
        self.protocol: str = ""
        self.address: str | None = None
        self.ports: tuple[Ports, ...] = ()
        self.to: Target | None = None
        self._least: int | None = None
        self._holds: dict[int, _Place | Literal["protocol"]] = {}
        self._values: dict[int, bytes] = {}

    def take(self, name: str, data: bytes) -> None:
        """Take in one expression; those that are of no interest change nothing."""
        step = _STEPS.get(name)
        if step is not None:
            step(self, messages.attributes(data))

    def meta(self, said: Mapping[int, bytes]) -> None:
        """`meta l4proto`: attributes 1 register, 2 key."""
        if _u32(said.get(2)) == _L4PROTO:
            self._holds[_u32(said.get(1))] = "protocol"

    def payload(self, said: Mapping[int, bytes]) -> None:
        """Bytes of the packet: 1 register, 2 header, 3 offset."""
        self._holds[_u32(said.get(1))] = _Place(_u32(said.get(2)), _u32(said.get(3)))

    def compare(self, said: Mapping[int, bytes]) -> None:
        """Compare: 1 register, 2 operator, 3 value."""
        held = self._holds.get(_u32(said.get(1)))
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
        if self._holds.get(_u32(said.get(1))) != _PORT or _u32(said.get(2)) != _EQUAL:
            return
        if len(first) == len(last) == 2:
            self.ports = (Ports(int.from_bytes(first, "big"), int.from_bytes(last, "big")),)

    def masked(self, said: Mapping[int, bytes]) -> None:
        """`bitwise`: 2 is the register that holds a part of something from then on."""
        self._holds.pop(_u32(said.get(2)), None)

    def load(self, said: Mapping[int, bytes]) -> None:
        """A constant: 1 register, 2 value."""
        self._values[_u32(said.get(1))] = _value(said.get(2))

    def translate(self, said: Mapping[int, bytes]) -> None:
        """`nat`: 1 type, 3 register of the address, 5 of the port, 6 of the last one of a range."""
        if _u32(said.get(1)) != _DNAT:
            return
        address = _address(self._values.get(_u32(said.get(3)), b""))
        if address is not None:
            self.to = Target(address, self._number(said.get(5)), self._number(said.get(6)))

    def _number(self, register: bytes | None) -> int | None:
        number = self._values.get(_u32(register), b"")[:2]
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
            self.to = to


_PORT: Final = _Place(_TRANSPORT, 2)
_STEPS: Final = {
    "meta": _Rule.meta,
    "payload": _Rule.payload,
    "cmp": _Rule.compare,
    "range": _Rule.between,
    "bitwise": _Rule.masked,
    "immediate": _Rule.load,
    "nat": _Rule.translate,
    "match": _Rule.match,
    "target": _Rule.target,
}


def forwards(opened: socket.socket) -> Iterator[Forward]:
    """Yield the rules of a namespace that pass a port on; raise as `messages.dump` does."""
    for message in islice(messages.dump(opened, _GET_RULE, _ANY_FAMILY), _MOST_RULES):
        yield from parse(message.body)


def parse(body: bytes) -> tuple[Forward, ...]:
    """Return what a rule passes on, nothing when it is no such rule; raise `FormatError` on a torn one."""
    if len(body) < 4:
        raise FormatError("nftables: a rule without a head")
    said = messages.attributes(body[4:])
    rule = _Rule()
    for _, element in messages.each(said.get(_EXPRESSIONS, b"")):
        expression = messages.attributes(element)
        rule.take(_text(expression.get(1)), expression.get(2, b""))
    to = rule.to
    if to is None:
        return ()
    family = _FAMILIES.get(body[0], str(body[0]))
    where = f"{family} {_text(said.get(_TABLE))} {_text(said.get(_CHAIN))}"
    return tuple(
        to.forward(ports, protocol=rule.protocol, address=rule.address, rule=where)
        for ports in rule.ports
    )


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
