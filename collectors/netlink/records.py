"""What is said of sockets, and of ports that are passed on, whichever way it was asked for."""

from typing import Final, Literal, NamedTuple

from msgspec import Struct

Protocol = Literal["tcp", "udp"]

STATES: Final = (
    "",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new-syn-recv",
    "bound-inactive",
)
"""By the kernel's number (net/tcp_states.h); of udp, `close` is one that is not connected."""


class Socket(Struct, frozen=True):
    """One socket of the internet protocols; addresses as text, without a mapped IPv4's prefix."""

    protocol: Protocol
    state: str
    address: str
    port: int
    remote_address: str
    remote_port: int
    uid: int
    """As the reader numbers users."""
    inode: int
    """0 for one that no process has any more, as in time-wait."""

    @property
    def listens(self) -> bool:
        """Whether it takes what comes from anywhere: listening tcp, udp that is not connected."""
        return self.state == "listen" or (self.protocol == "udp" and self.state == "close")


class Counts(NamedTuple):
    """How many sockets a network namespace has, each with an address; kernels' own too, and orphans."""

    tcp: int
    """Of both families; without half-open ones, which only what listens has, and without the next."""
    time_wait: int
    udp: int
    udp6: int


class Forward(Struct, frozen=True, kw_only=True):
    """One rule of destination address translation for a port."""

    protocol: str
    """`tcp`, `udp`, `sctp`; empty when the rule does not say."""
    address: str | None
    """The destination that it is for; None: any."""
    port: int
    to_address: str
    to_port: int
    """The same port when the rule does not say."""
    rule: str
    """Where it stands: family, table and chain."""
    last_port: int | None = None
    """Of a range."""
    to_last_port: int | None = None
    """Of a range, which as a rule is as long."""
    by: Literal["nftables", "legacy iptables"] = "nftables"
