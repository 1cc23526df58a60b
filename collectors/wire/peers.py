"""Tells whose engine listens on a socket: what a user's own says is that user's word."""

import socket
import struct
from asyncio import BaseTransport
from collections.abc import Iterable
from typing import Final

from msgspec import structs

from collectors.engine import EngineContainer, teller

_CREDENTIALS: Final = struct.Struct("=iII")
"""`struct ucred`: pid, uid, gid."""


def uid_of(transport: BaseTransport) -> int:
    """Return the uid of whoever called listen(2) (unix(7), SO_PEERCRED)."""
    connected: socket.socket = transport.get_extra_info("socket")
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(data)[1]
    return uid


def said_by(uid: int, containers: Iterable[EngineContainer]) -> tuple[EngineContainer, ...]:
    """Return containers with whose engine listed them."""
    user = teller(uid)
    if user is None:
        return tuple(containers)
    return tuple([structs.replace(one, said_by=user) for one in containers])
