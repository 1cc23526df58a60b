"""Where the executable `containerd-shim-cinspect-v1` begins: with stand-ins, as its action is short.

The server that it may leave behind keeps them: it is the smaller for it.
"""

import os


def main() -> None:
    """Run the command line."""
    from runtime import brief  # noqa: PLC0415 - before anything else is loaded

    brief.install()
    from runtime.shim import entry  # noqa: PLC0415 - after

    entry.main()
    os._exit(0)  # all is written, and an interpreter takes milliseconds to take itself down


def zygote() -> None:
    """Be the warm process that shims are forks of."""
    from runtime import brief  # noqa: PLC0415 - before anything else is loaded

    brief.install()
    from runtime.shim import zygote as process  # noqa: PLC0415 - after

    process.main()
