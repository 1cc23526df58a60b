"""What a link to a namespace says: `net:[4026531840]` (namespaces(7))."""

import re

from runtime.errors import FormatError

_LINK = re.compile(r"([a-z_]+):\[([0-9]{1,19})\]")


def parse(link: str) -> tuple[str, int]:
    """Return the type and the inode."""
    match = _LINK.fullmatch(link)
    if match is None:
        raise FormatError(f"not a link to a namespace: {link[:80]!r}")
    return match[1], int(match[2])
