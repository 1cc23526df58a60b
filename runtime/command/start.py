"""Where the executable `cinspect-oci` begins: with stand-ins, as each of its runs is a short one."""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line."""
    gc.disable()  # what is loaded is all kept, and little is made after
    from runtime import packed  # noqa: PLC0415 - before anything else is loaded

    pack = packed.install(sys.argv[1:])
    pack.load("runtime.brief")
    from runtime import brief  # noqa: PLC0415 - before all that is stood in for

    brief.install()
    pack.load()
    from runtime.command import main as command  # noqa: PLC0415 - after

    command.main(at_end=pack.complete)
