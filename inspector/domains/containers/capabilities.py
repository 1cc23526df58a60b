"""Sets of capabilities, as the kernel's masks, by name."""

from functools import lru_cache
from typing import Final

from collectors.kernel.processes import CAPABILITIES

EVERY: Final = (1 << len(CAPABILITIES)) - 1


@lru_cache(maxsize=256)  # a host has a handful of different sets
def names(mask: int) -> tuple[str, ...]:
    """Return the names of a set's bits; a bit that is newer than the list is `CAP_N`."""
    return tuple(
        CAPABILITIES[bit] if bit < len(CAPABILITIES) else f"CAP_{bit}"
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    )
