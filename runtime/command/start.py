"""Where the executable `cinspect-oci` begins: with stand-ins, as each of its runs is a short one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    import gc  # noqa: PLC0415 - what is loaded is all kept, and little is made after
    import sys  # noqa: PLC0415 - as all here

    gc.disable()
    from runtime import packed  # noqa: PLC0415 - before anything else is loaded

    pack = packed.install("command")
    from runtime import brief  # noqa: PLC0415 - before all that is stood in for

    brief.install()
    pack.load(sys.argv[1:])
    from runtime.command import main as command  # noqa: PLC0415 - after

    command.main(at_end=pack.complete)
