"""Reads a container's log, and follows it until the container ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from runtime.errors import FormatError
from runtime.types import LogLine

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncFileIO

_CHUNK: Final = 256 << 10
_POLL_SECONDS: Final = 0.05


def parse(line: bytes) -> LogLine:
    """Return a log line (without its newline), or raise `FormatError`."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[1] not in {b"stdout", b"stderr"} or parts[2] not in {b"F", b"P"}:
        raise FormatError(f"not a log line: {line[:80]!r}")
    try:
        stamp = datetime.fromisoformat(parts[0].decode()[:26]).replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError(f"not a log line's time: {parts[0]!r}") from error
    stream: Literal["stdout", "stderr"] = "stdout" if parts[1] == b"stdout" else "stderr"
    return LogLine(stamp, stream, parts[3] + (b"\n" if parts[2] == b"F" else b""))


class _File:
    """One log file; the older one is read to its end and let go."""

    def __init__(self, file: "AsyncFileIO") -> None:
        self._file = file
        self._rest = b""

    @classmethod
    async def open(cls, path: str) -> "_File | None":
        import aiofiles  # noqa: PLC0415 - of all clients only those who read a log need it

        try:
            return cls(await aiofiles.open(path, "rb", buffering=0, opener=_no_link))
        except FileNotFoundError:
            return None

    @property
    def inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino

    async def lines(self) -> AsyncIterator[LogLine]:
        """Yield what was completed since the last call; a torn line (full disk) is left out."""
        while data := await self._file.read(_CHUNK):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                try:
                    yield parse(line)
                except FormatError:
                    continue

    async def close(self) -> None:
        await self._file.close()


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)


async def read(path: str, *, follow: bool, ended: Callable[[], bool]) -> AsyncIterator[LogLine]:
    """Yield a log's lines; with `follow`, new ones too, until `ended` and nothing is left."""
    files: list[_File] = []
    try:
        for name in (path + ".1", path):
            if (found := await _File.open(name)) is not None:
                files.append(found)  # noqa: PERF401 - those already open are closed if a later one fails
        while True:
            over = not follow or ended()  # asked before the read: what comes after it is nothing
            async for line in _lines(files):
                yield line
            while len(files) > 1:
                await files.pop(0).close()
            successor = await _successor(path, files)
            if successor is not None:
                files.append(successor)
                continue
            if over:
                return
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        for file in files:
            await file.close()


async def _lines(files: Sequence[_File]) -> AsyncIterator[LogLine]:
    for file in files:
        async for line in file.lines():
            yield line


async def _successor(path: str, files: list[_File]) -> _File | None:
    """Return the file that a rotation has put in place of the one being read."""
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return None
    if files and files[-1].inode == inode:
        return None
    return await _File.open(path)
