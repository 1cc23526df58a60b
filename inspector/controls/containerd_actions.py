"""Asks containerd to freeze and thaw a container of its own, so that it knows of it."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from collectors.errors import CollectError
from collectors.wire.failures import Refused
from inspector.control import ActionFailed
from inspector.domains.containers.model import Container

ENGINE: Final = "containerd"
_NOT_HERE: Final = 5
"""gRPC's NOT_FOUND."""
_SECONDS: Final = 30.0


async def freeze(addresses: Sequence[str], container: Container) -> str | None:
    """Pause it; return the socket that did, or None when no containerd that has it answers.

    Raises `ActionFailed` when containerd refuses. The same holds for `thaw`.
    """
    return await _ask(addresses, container, "pause")


async def thaw(addresses: Sequence[str], container: Container) -> str | None:
    """Let it go on."""
    return await _ask(addresses, container, "resume")


async def _ask(
    addresses: Sequence[str], container: Container, action: Literal["pause", "resume"]
) -> str | None:
    if not addresses or container.engine_namespace is None:
        return None
    # gRPC takes long to load: only who acts on a container of containerd's needs it.
    from collectors.wire.containerd.client import connect  # noqa: PLC0415

    for address in addresses:
        try:
            async with asyncio.timeout(_SECONDS), connect(address) as client:
                ask = client.pause if action == "pause" else client.resume
                await ask(container.engine_namespace, container.id)
        except Refused as refused:
            if refused.status != _NOT_HERE:
                raise ActionFailed(refused.message) from refused
        except (CollectError, TimeoutError):
            continue  # nobody there: another socket, or the kernel
        else:
            return address
    return None
