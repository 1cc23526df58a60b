"""Exit statuses: an interface of the command line, in one place."""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
ENGINE_FAILED: Final = 125
"""`run` and `exec`: the engine could not do it."""
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE: the reader of stdout went away, as it does under `head`."""
