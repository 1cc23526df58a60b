"""Compares the contents of two files of an overlay's layers, a piece at a time."""

import os
from collections.abc import Generator

from msgspec import Struct

from collectors.overlay.lower import Lowers, Place

_PIECE = 1 << 20


class Candidate(Struct, frozen=True):
    """A file that one of the same length replaced."""

    over: Place
    under: Place
    key: tuple[int, int]
    """Device and inode of the one below."""
    size_bytes: int


def compare(lowers: Lowers, candidate: Candidate) -> Generator[None, None, bool]:
    """Yield after each megabyte; return whether both have the same contents.

    Files that went away or may not be read are not the same.
    """
    try:
        over = lowers.open_file(candidate.over)
    except OSError:
        return False
    try:
        under = lowers.open_file(candidate.under)
    except OSError:
        os.close(over)
        return False
    try:
        while True:
            piece = os.read(over, _PIECE)
            if piece != os.read(under, _PIECE):
                return False
            if not piece:
                return True
            yield
    except OSError:
        return False
    finally:
        os.close(over)
        os.close(under)
