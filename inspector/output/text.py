"""Makes text from containers safe: nothing of it is a terminal escape, all of it is valid UTF-8."""

import re
from typing import Final

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0, DEL and C1 controls, line separators, and the marks that turn the direction of text."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return one line without controls: `\x1b`, `\n` and bad bytes are shown as such."""
    return valid(_CONTROLS.sub(_escape, text))


def valid(text: str) -> str:
    r"""Return text that encodes as UTF-8: a byte that was not (a surrogate escape) is `\xNN`."""
    return text if text.isascii() else _SURROGATES.sub(_byte, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _byte(match: re.Match[str]) -> str:
    code = ord(match[0])
    # PEP 383: byte 0x80+n is U+DC80+n; any other lone surrogate came from a hostile text.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
