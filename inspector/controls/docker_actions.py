"""Asks Docker or Podman, over the API that both speak, to act on a container of theirs."""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from collectors.decoding import decode
from collectors.errors import CollectError
from collectors.wire import http_unix
from collectors.wire.failures import Refused
from inspector.control import ActionFailed
from runtime.types import Resources

if TYPE_CHECKING:
    from collectors.wire.http import Http

Kind = Literal["directory", "other"]

ENGINES: Final = frozenset({"docker", "podman"})
_NOT_HERE: Final = 404
_DIRECTORY: Final = 1 << 31
_LINK: Final = 1 << 27
"""Bits of a file's mode as Go has it (io/fs, ModeDir and ModeSymlink)."""
_SECONDS: Final = 30.0
_ARCHIVE_SECONDS: Final = 3600.0


class _PathStat(Struct):
    """What X-Docker-Container-Path-Stat says, of a link itself."""

    mode: int
    target: str = field(default="", name="linkTarget")
    is_dir: bool = field(default=False, name="isDir")
    """Podman's: whether a link leads to a directory."""


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


async def kind(
    addresses: Sequence[str], container: str, path: str
) -> tuple[str, Kind | None] | None:
    """Return the socket of who has it, and what is at a path in it, links followed, volumes included.

    None when no engine that has it answers.
    """
    for address in addresses:
        try:
            async with asyncio.timeout(_SECONDS), http_unix.connect(address) as http:
                await http.get_bytes(f"{_path(container)}/json")
                return address, await _kind(http, container, path)
        except Refused as refused:
            if refused.status != _NOT_HERE:
                raise ActionFailed(refused.message) from refused
        except (CollectError, TimeoutError):
            continue
    return None


async def _kind(http: "Http", container: str, path: str) -> Kind | None:
    for _ in range(2):
        target = _archive(container, path)
        try:
            said = await http.head(target, "X-Docker-Container-Path-Stat")
            found = decode(base64.b64decode(said), _PathStat)
        except (binascii.Error, msgspec.DecodeError) as error:
            raise ActionFailed(f"HEAD {target}: answered what is not expected: {error}") from error
        except Refused as refused:
            if refused.status != _NOT_HERE:
                raise
            return None
        if found.is_dir or found.mode & _DIRECTORY:
            return "directory"
        if not found.mode & _LINK:
            break
        path = found.target  # the end of all links
    return "other"


async def extract(address: str, container: str, path: str, archive: BinaryIO) -> None:
    """Put what a tar stream has, from where it stands, into a directory of it, volumes included.

    Nothing but a directory is replaced by one, nor it by anything else. Raises `ActionFailed`; what came
    before it is there.
    """
    target = f"{_archive(container, path)}&noOverwriteDirNonDir=true"
    try:
        async with asyncio.timeout(_ARCHIVE_SECONDS), http_unix.connect(address) as http:
            await http.upload(target, archive)
    except CollectError as error:
        raise ActionFailed(error.message) from error
    except TimeoutError as error:
        raise ActionFailed(
            f"{address}: it has not taken all in {_ARCHIVE_SECONDS:.0f} s"
        ) from error


def _archive(container: str, path: str) -> str:
    return f"{_path(container)}/archive?path={quote(path, safe='')}"


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
