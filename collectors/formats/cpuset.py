"""Lists of cpus and memory nodes, `0-3,8` (cpuset(7), "List format")."""

import re

from runtime.errors import FormatError

_LIST = re.compile(rb"(?:[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*)?\n?")


def parse(data: bytes) -> str:
    """Return the list as text, checked; empty means none of its own."""
    if _LIST.fullmatch(data) is None:
        raise FormatError(f"not a list of cpus or memory nodes: {data[:80]!r}")
    return data.decode("ascii").rstrip("\n")
