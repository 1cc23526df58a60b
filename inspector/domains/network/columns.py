"""Columns of network interfaces."""

from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.network.model import Interface


def peer(interface: Interface) -> str | None:
    """Return the other end as `veth3a in 4026531840`, what of it is known."""
    if interface.peer is None:
        return None
    name = interface.peer.interface or "?"
    where = interface.peer.namespace
    return name if where is None else f"{name} in {where}"


INTERFACE: Final = Column[Interface]("interface", "INTERFACE", lambda i: i.interface, width=16)
NAMESPACE: Final = Column[Interface](
    "namespace", "NAMESPACE", lambda i: i.namespace, width=10, align="right"
)
KIND: Final = Column[Interface]("kind", "KIND", lambda i: i.kind, width=8)
PEER: Final = Column[Interface]("peer", "OTHER END", peer, width=24)
ADDRESSES: Final = Column[Interface](
    "addresses", "ADDRESSES", lambda i: " ".join(i.addresses) or None, width=24
)
RECEIVED: Final = Column[Interface](
    "rx_bytes",
    "RX",
    lambda i: i.rx_bytes,
    lambda i: units.size(i.rx_bytes),
    unit="bytes",
    width=6,
    align="right",
)
SENT: Final = Column[Interface](
    "tx_bytes",
    "TX",
    lambda i: i.tx_bytes,
    lambda i: units.size(i.tx_bytes),
    unit="bytes",
    width=6,
    align="right",
)

COLUMNS: Final[tuple[Column[Interface], ...]] = (
    INTERFACE,
    NAMESPACE,
    KIND,
    PEER,
    ADDRESSES,
    RECEIVED,
    SENT,
)
