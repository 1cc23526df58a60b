"""Where the executable `cinspect` begins: what can be answered at once loads nothing for it."""

import gc
import os
import sys

from inspector.version import VERSION


def main() -> int:
    """Run the command line; return its exit status."""
    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        return _tell()
    gc.disable()  # while modules are loaded, which stay: `main` enables it
    from inspector.cli import main as command  # noqa: PLC0415 - all that it loads

    return command.main()


def _tell() -> int:
    try:
        sys.stdout.write(f"cinspect {VERSION}\n")
        sys.stdout.flush()
    except OSError as error:
        from inspector import exit_codes  # noqa: PLC0415 - only a failure needs it

        status = exit_codes.BROKEN_PIPE
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"cinspect: the standard output: {error.strerror}\n")
            sys.stderr.flush()
            status = exit_codes.FAILED
        os._exit(status)  # at its own end the interpreter would try once more to write it
    return 0
