"""Asks nftables for the rules that pass a port on to another address (nft(8), iptables-nft)."""

import socket
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, Literal, NamedTuple

from collectors.netlink import messages
from collectors.netlink.records import Forward
from runtime.errors import FormatError

_GET_RULE: Final = (10 << 8) | 7
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETRULE of linux/netfilter/nf_tables.h."""
_ANY_FAMILY: Final = bytes(4)
"""`struct nfgenmsg`."""
_MOST_RULES: Final = 20_000
_TABLE, _CHAIN, _EXPRESSIONS = 1, 2, 4
_FAMILIES: Final = {1: "inet", 2: "ip", 10: "ip6"}
_PROTOCOLS: Final[Mapping[int, Literal["tcp", "udp"]]] = {6: "tcp", 17: "udp"}
_L4PROTO: Final = 16
_NETWORK, _TRANSPORT = 1, 2
_DNAT: Final = 1
_NOT_INVERTED: Final = 0


class _Place(NamedTuple):
    """What a register holds a copy of."""

    base: int
    offset: int


class _Rule:
    """Follows a rule's expressions as the kernel would, and keeps what they compare and load."""

    def __init__(self) -> None:
        self.protocol: str = ""
        self.address: str | None = None
        self.port: int | None = None
        self.to: tuple[str, int | None] | None = None
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
        """An equality: 1 register, 2 operator, 3 value."""
        held = self._holds.get(_u32(said.get(1)))
        value = _value(said.get(3))
        if _u32(said.get(2)) != _NOT_INVERTED or held is None or not value:
            return
        if held == "protocol":
            self.protocol = _PROTOCOLS.get(value[0], "")
        elif held == _Place(_TRANSPORT, 2) and len(value) == 2:
            self.port = int.from_bytes(value, "big")
        elif held == _Place(_NETWORK, 16) and len(value) == 4:
            self.address = socket.inet_ntop(socket.AF_INET, value)

    def load(self, said: Mapping[int, bytes]) -> None:
        """A constant: 1 register, 2 value."""
        self._values[_u32(said.get(1))] = _value(said.get(2))

    def translate(self, said: Mapping[int, bytes]) -> None:
        """`nat`: 1 type, 3 register of the address, 5 of the port."""
        if _u32(said.get(1)) != _DNAT:
            return
        number = self._values.get(_u32(said.get(5)), b"")[:2]
        address = _address(self._values.get(_u32(said.get(3)), b""))
        if address is not None:
            self.to = address, int.from_bytes(number, "big") if len(number) == 2 else None

    def match(self, said: Mapping[int, bytes]) -> None:
        """An extension of iptables': 1 name, 3 its struct, of which `tcp` and `udp` are read."""
        name, info = _text(said.get(1)), said.get(3, b"")
        inverted_at = 11 if name == "tcp" else 8
        if name not in {"tcp", "udp"} or len(info) <= inverted_at or info[inverted_at]:
            return
        self.protocol = name
        first, last = struct.unpack_from("=HH", info, 4)
        if first == last:
            self.port = first

    def target(self, said: Mapping[int, bytes]) -> None:
        """A target of iptables': 1 name, 2 revision, 3 its struct; DNAT's are ranges of addresses."""
        info = said.get(3, b"")
        if _text(said.get(1)) != "DNAT":
            return
        # Revision 0 has a count, then flags, two addresses and two ports; later ones 16-byte addresses.
        flags_at, size = (4, 4) if _u32(said.get(2)) == 0 else (0, 16)
        port_at = flags_at + 4 + 2 * size
        if len(info) < port_at + 4:
            return
        raw = info[flags_at + 4 : flags_at + 4 + size]
        if size == 16 and not any(raw[4:]):
            raw = raw[:4]
        (number,) = struct.unpack_from("!H", info, port_at)
        address = _address(raw)
        if address is not None:
            self.to = address, number or None


_STEPS: Final = {
    "meta": _Rule.meta,
    "payload": _Rule.payload,
    "cmp": _Rule.compare,
    "immediate": _Rule.load,
    "nat": _Rule.translate,
    "match": _Rule.match,
    "target": _Rule.target,
}


def forwards(opened: socket.socket) -> Iterator[Forward]:
    """Yield the rules of a namespace that pass a port on; raise as `messages.dump` does."""
    for message in islice(messages.dump(opened, _GET_RULE, _ANY_FAMILY), _MOST_RULES):
        found = parse(message.body)
        if found is not None:
            yield found


def parse(body: bytes) -> Forward | None:
    """Return what a rule passes on, None when it is no such rule; raise `FormatError` on a torn one."""
    if len(body) < 4:
        raise FormatError("nftables: a rule without a head")
    said = messages.attributes(body[4:])
    rule = _Rule()
    for _, element in messages.each(said.get(_EXPRESSIONS, b"")):
        expression = messages.attributes(element)
        rule.take(_text(expression.get(1)), expression.get(2, b""))
    if rule.port is None or rule.to is None:
        return None
    family = _FAMILIES.get(body[0], str(body[0]))
    return Forward(
        protocol=rule.protocol,
        address=rule.address,
        port=rule.port,
        to_address=rule.to[0],
        to_port=rule.to[1] or rule.port,
        rule=f"{family} {_text(said.get(_TABLE))} {_text(said.get(_CHAIN))}",
    )


def _u32(data: bytes | None) -> int:
    return int.from_bytes(data, "big") if data is not None and len(data) == 4 else -1


def _text(data: bytes | None) -> str:
    return (data or b"").split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _value(data: bytes | None) -> bytes:
    """Return the bytes of a nested value (NFTA_DATA_VALUE)."""
    return messages.attributes(data).get(1, b"") if data else b""


def _address(raw: bytes) -> str | None:
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    return socket.inet_ntop(socket.AF_INET6, raw) if len(raw) == 16 else None
