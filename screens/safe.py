"""The one gate for text that somebody else chose: what it says is shown, what it would do is not done.

Names, command lines, labels, paths and log lines come from containers. A terminal acts on control characters, lays
text out anew on bidirectional ones, and disagrees with us on the width of invisible and joining ones. All of these
are written out as escapes (`\\x1b`, `\\u202e`), so that what is left takes as many cells as we count.
"""

import unicodedata
from functools import lru_cache
from typing import Final

from rich.cells import cell_len, set_cell_size

ELLIPSIS: Final = "…"

_ESCAPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Me"})
"""Controls, format characters (bidi, zero-width, tags), surrogates, private use, unassigned, separators, enclosing."""
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
"""Letters and marks without ink."""
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_MARKS_ON_A_LETTER: Final = 2


@lru_cache(maxsize=8192)
def text(value: str) -> str:
    """Return `value` with everything that a terminal would act on, or could not measure, written as an escape."""
    if value.isascii() and value.isprintable():
        return value
    shown: list[str] = []
    marks = _MARKS_ON_A_LETTER
    for char in _composed(value):
        category = unicodedata.category(char)
        if category in {"Mn", "Mc"}:
            marks += 1
            harmless = marks <= _MARKS_ON_A_LETTER and not _is_hidden(char)
        else:
            marks = 0 if category[0] == "L" else _MARKS_ON_A_LETTER
            harmless = category not in _ESCAPED and not _is_hidden(char) and not _is_space(char)
        shown.append(char if harmless else _escape(char))
    return "".join(shown)


def width(value: str) -> int:
    """Return the cells that `text(value)` takes."""
    return cell_len(text(value))


def fit(value: str, cells: int, *, right: bool = False) -> str:
    """Return `text(value)` in exactly `cells` cells: cut with an ellipsis, or padded on the side it is not aligned to."""
    if cells <= 0:
        return ""
    shown = text(value)
    length = cell_len(shown)
    if length > cells:
        cut = set_cell_size(shown, cells - 1).rstrip(" ") + ELLIPSIS
        return cut + " " * (cells - cell_len(cut))
    padding = " " * (cells - length)
    return padding + shown if right else shown + padding


def lines(value: str) -> list[str]:
    """Return the lines of a longer text, each of them safe; tabs become spaces."""
    return [text(line.expandtabs(4)) for line in value.split("\n")]


def _composed(value: str) -> str:
    """Join letters with their accents where one character says the same; lone surrogates stay as they are."""
    try:
        return unicodedata.normalize("NFC", value)
    except UnicodeError:
        return value


def _is_hidden(char: str) -> bool:
    point = ord(char)
    return (
        char in _BLANK
        or 0xFE00 <= point <= 0xFE0F  # variation selectors change a neighbour's width
        or 0xE0100 <= point <= 0xE01EF
        or 0x1160 <= point <= 0x11FF  # conjoining jamo draw into the cell before
        or 0xD7B0 <= point <= 0xD7FF
        or 0x1F1E6 <= point <= 0x1F1FF  # regional indicators pair up into flags
        or 0x1F3FB <= point <= 0x1F3FF  # skin tones join the emoji before
    )


def _is_space(char: str) -> bool:
    return char != " " and unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    point = ord(char)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
