"""Asks Docker or Podman, over the API that both speak, to act on a container of theirs."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from collectors.errors import CollectError
from collectors.wire import http_unix
from collectors.wire.failures import Refused
from inspector.control import ActionFailed
from runtime.types import Resources

ENGINES: Final = frozenset({"docker", "podman"})
_NOT_HERE: Final = 404
_SECONDS: Final = 30.0


async def freeze(addresses: Sequence[str], container: str) -> str | None:
    """Pause it; return the socket that did, or None when no engine that has it answers.

    Raises `ActionFailed` when the engine refuses. The same holds for all functions here.
    """
    return await _post(addresses, f"{_path(container)}/pause")


async def thaw(addresses: Sequence[str], container: str) -> str | None:
    """Unpause it."""
    return await _post(addresses, f"{_path(container)}/unpause")


async def kill(addresses: Sequence[str], container: str, signal: int) -> str | None:
    """Send a signal to its first process."""
    return await _post(addresses, f"{_path(container)}/kill?signal={signal}")


async def update(addresses: Sequence[str], container: str, resources: Resources) -> str | None:
    """Change its limits."""
    body = json.dumps(_host_config(resources)).encode()
    return await _post(addresses, f"{_path(container)}/update", body)


async def remove(addresses: Sequence[str], container: str, *, force: bool) -> str | None:
    """Remove it."""
    target = f"{_path(container)}?force={'true' if force else 'false'}"
    return await _send(addresses, "DELETE", target)


async def _post(addresses: Sequence[str], target: str, body: bytes = b"") -> str | None:
    return await _send(addresses, "POST", target, body)


async def _send(
    addresses: Sequence[str], method: str, target: str, body: bytes = b""
) -> str | None:
    for address in addresses:
        try:
            async with asyncio.timeout(_SECONDS), http_unix.connect(address) as http:
                await http.send(method, target, body)
        except Refused as refused:
            if refused.status != _NOT_HERE:
                raise ActionFailed(refused.message) from refused
        except (CollectError, TimeoutError):
            continue  # nobody there: another socket, or the kernel
        else:
            return address
    return None


def _path(container: str) -> str:
    return f"/containers/{quote(container, safe='')}"


def _host_config(resources: Resources) -> dict[str, Any]:
    """Return the limits as Docker's API names them; what is not asked for is absent."""
    wanted: dict[str, Any] = {}
    if resources.memory_bytes is not None:
        # Without it Docker refuses a memory limit above the swap limit that it set by itself.
        wanted |= {"Memory": resources.memory_bytes, "MemorySwap": -1}
    if resources.cpus == 0:
        # Its API takes 0 for "leave it", and CpuQuota only where NanoCpus was never set.
        raise ActionFailed("Docker cannot lift a limit of cpus: say how many, as --cpus 2")
    if resources.cpus is not None:
        wanted["NanoCpus"] = int(resources.cpus * 1e9)
    if resources.cpu_shares is not None:
        wanted["CpuShares"] = resources.cpu_shares
    if resources.cpuset_cpus is not None:
        wanted["CpusetCpus"] = resources.cpuset_cpus
    if resources.pids_limit is not None:
        wanted["PidsLimit"] = resources.pids_limit
    return wanted
