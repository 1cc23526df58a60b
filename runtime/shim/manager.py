"""Starts a container's shim from cold, as containerd would: the client's side of the contract."""

import asyncio
import os
import sys
from typing import Final

from runtime.errors import DeadlineExceeded, Internal

_START_SECONDS: Final = 30
_CODE: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from runtime.shim.entry import main; main()"
)


def command(*, namespace: str, container_id: str, socket: str, lock: int) -> list[str]:
    """Return the command line: an isolated interpreter without site-packages, for a fast start."""
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    flags = ["-namespace", namespace, "-id", container_id, "-socket", socket, "-lock-fd", str(lock)]
    # appended to sys.path, not put first: the directory may hold packages named like modules of
    # the standard library
    return [sys.executable, "-I", "-S", "-c", _CODE, library, *flags, "start"]


async def start(bundle: str, *, namespace: str, container_id: str, socket: str, lock: int) -> str:
    """Start a shim in a bundle and return its address.

    The shim inherits `lock`, a descriptor of the container's lock, until it can be found by the
    files it writes: so whoever gets the lock after this process was killed finds the shim.
    """
    process = await asyncio.create_subprocess_exec(
        *command(namespace=namespace, container_id=container_id, socket=socket, lock=lock),
        cwd=bundle,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        pass_fds=(lock,),
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DeadlineExceeded(f"the shim did not start within {_START_SECONDS} s") from None
    text = said.decode(errors="replace").strip()
    if process.returncode:
        raise Internal(f"the shim did not start: {text or process.returncode}")
    return text
