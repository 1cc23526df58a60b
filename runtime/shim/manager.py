"""Starts shims: from cold, as containerd would, or as forks of a warm one."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from typing import Final, Self

from runtime.errors import DeadlineExceeded, Internal, Unavailable

_START_SECONDS: Final = 30
_COLD: Final = "from runtime.shim.start import main; main()"
_ROOM: Final = "." * 400
"""A last argument of a warm process, which its forks write over with what they are called."""
_WARM: Final = "from runtime.shim.start import zygote; zygote()"


def interpreter(code: str, *arguments: str) -> list[str]:
    """Return a command line that runs `code`: isolated, without site-packages, for a fast start.

    The directory of this package is appended to sys.path, not put first: it may hold packages named
    like modules of the standard library.
    """
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    prelude = f"import sys; sys.path.append(sys.argv.pop(1)); {code}"
    return [sys.executable, "-I", "-S", "-c", prelude, library, *arguments]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)}


def arguments(*, namespace: str, container_id: str, address: str) -> list[str]:
    """Return the flags of a shim that listens at a path, and the action."""
    return ["-namespace", namespace, "-id", container_id, "-socket", address, "start"]


async def start(bundle: str, flags: Sequence[str], *, lock: int) -> str:
    """Start a shim from cold in a bundle and return its address.

    The shim inherits `lock`, a descriptor of the container's lock, until it can be found by the
    files it writes: so whoever gets the lock after this process was killed finds the shim.
    """
    process = await asyncio.create_subprocess_exec(
        *interpreter(_COLD, "-lock-fd", str(lock), *flags),
        cwd=bundle,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(),
        pass_fds=(lock,),
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DeadlineExceeded(f"the shim did not start within {_START_SECONDS} s") from None
    return _address(said)


def _address(said: bytes) -> str:
    text = said.decode(errors="replace").strip()
    if not text.startswith("unix://"):
        raise Internal(f"the shim did not start: {text or 'it said nothing'}")
    return text


class Zygote:
    """A warm process that shims are forks of; it ends with us."""

    def __init__(self, process: asyncio.subprocess.Process, requests: socket.socket) -> None:
        self._process = process
        self._requests = requests

    @classmethod
    async def open(cls) -> Self:
        """Start one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *interpreter(_WARM, str(theirs.fileno()), _ROOM),
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
            )
        return cls(process, ours)

    async def start(self, bundle: str, flags: Sequence[str], *, lock: int) -> str:
        """Start a shim in a bundle and return its address; `Unavailable` if the zygote is gone."""
        request = b"\0".join(os.fsencode(word) for word in (bundle, *flags))
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            try:
                os.set_blocking(writing, True)
                socket.send_fds(self._requests, [request], [lock, writing])
            except OSError as error:
                raise Unavailable(f"the warm shim is gone: {error.strerror}") from error
            finally:
                os.close(writing)
            async with asyncio.timeout(_START_SECONDS):
                said = await _read_all(reading)
        except TimeoutError:
            raise DeadlineExceeded(f"the shim did not start within {_START_SECONDS} s") from None
        finally:
            os.close(reading)
        return _address(said)

    async def close(self) -> None:
        """End it; its shims go on."""
        self._requests.close()
        with contextlib.suppress(ProcessLookupError):
            await self._process.wait()


async def _read_all(descriptor: int) -> bytes:
    """Read a non-blocking pipe to its end."""
    loop, found = asyncio.get_running_loop(), bytearray()
    while True:
        ready = loop.create_future()
        loop.add_reader(descriptor, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        data = os.read(descriptor, 65536)
        if not data:
            return bytes(found)
        found += data


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
