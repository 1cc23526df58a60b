"""The version, without asking the installed package's metadata (which costs 40 ms)."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes as long to load as the interpreter itself
if TYPE_CHECKING:
    from typing import Final

VERSION: Final = "0.1.0"
