"""Where the executable `cinspect-oci` begins: with stand-ins, as each of its runs is a short one."""

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line."""
    gc.disable()  # what is loaded is all kept, and little is made after
    _open_streams()
    from runtime import packed  # noqa: PLC0415 - before anything else is loaded

    pack = packed.install(["begin"])
    pack.load("runtime.brief")
    from runtime import brief  # noqa: PLC0415 - before all that is stood in for

    brief.install()
    pack.load()
    from runtime.init import reserve  # noqa: PLC0415 - after

    pack.complete("begin")
    if _makes_a_container(sys.argv[1:]):
        # Each side loads what is its own, and there is little memory yet that both would write to.
        reserve.fork(_stand_by)
    pack = packed.install(sys.argv[1:])
    pack.load()
    from runtime.command import main as command  # noqa: PLC0415 - after

    command.main(at_end=pack.complete)


def _open_streams() -> None:
    """See to it that what is opened later gets no number of a standard stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _makes_a_container(words: "Sequence[str]") -> bool:
    """Tell whether a container's init is likely to be needed that a spare can become."""
    # What `exec` executes has any words, and may stay for long.
    makes = not {"create", "run"}.isdisjoint(words) and "exec" not in words
    apart = any(word.lstrip("-").startswith(("preserve-fds", "systemd-cgroup")) for word in words)
    return makes and not apart and "LISTEN_FDS" not in os.environ and os.geteuid() == 0


def _stand_by(sync: "socket.socket", told: int, ignored: int) -> "NoReturn":
    """Be the spare."""
    from runtime import packed  # noqa: PLC0415 - it is loaded

    pack = packed.install(["init"])
    pack.load()
    from runtime.init import spare  # noqa: PLC0415 - for this process alone

    pack.complete("init")
    spare.main(sync, told, ignored, early=False)
