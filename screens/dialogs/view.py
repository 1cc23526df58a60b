"""Shows a file: its text with everything made visible that a terminal would act on, or its bytes."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from inspector import units
from inspector.control import Viewed
from screens import safe
from screens.widgets import cells
from screens.widgets.bars import Bar, hints
from screens.widgets.cells import Line, Piece
from screens.widgets.lines import Lines

_ROW: Final = 16
"""Bytes in a line of the hexadecimal view."""
_PROBED: Final = 8192
_ODD: Final = 0.1
"""From this share of control characters and broken UTF-8 on, bytes say more than text."""
_PLAIN_CONTROLS: Final = frozenset(b"\t\n\r\f\x1b\b")


def is_binary(data: bytes) -> bool:
    """Return whether the beginning of a file is no text: it has a zero byte, or much that is none."""
    head = data[:_PROBED]
    if b"\0" in head:
        return True
    odd = sum(byte < 0x20 and byte not in _PLAIN_CONTROLS for byte in head)
    odd += sum(0xDC80 <= ord(char) <= 0xDCFF for char in head.decode("utf-8", "surrogateescape"))
    return bool(head) and odd / len(head) > _ODD


def text_lines(data: bytes, width: int) -> Iterator[Line]:
    """Yield the lines of a text, numbered; one that is too long goes on below, without a number."""
    rows = safe.lines(data.decode("utf-8", "surrogateescape"))
    if rows and not rows[-1]:
        rows.pop()
    digits = max(3, len(str(len(rows))))
    room = max(8, width - digits - 2)
    for number, row in enumerate(rows, start=1):
        label: Piece = (f"{number:>{digits}}  ", "dim")
        for part in _parts(row, room):
            yield (label, (part, "plain"))
            label = (" " * (digits + 2), "dim")


def _parts(row: str, room: int) -> Iterator[str]:
    while cell_len(row) > room:
        part = _head(row, room)
        yield part
        row = row[len(part) :]
    yield row


def _head(row: str, room: int) -> str:
    """Return as many of the first characters as fit: a wide one is not torn apart."""
    if row.isascii():
        return row[:room]
    taken = 0
    for place, char in enumerate(row):
        taken += cell_len(char)
        if taken > room:
            return row[: max(1, place)]
    return row


def hex_lines(data: bytes) -> Iterator[Line]:
    """Yield sixteen bytes a line: where they are, in hexadecimal, as ASCII."""
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        halves = "  ".join(part.hex(" ") for part in (row[:8], row[8:]))
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in row)
        yield ((f"{start:08x}  ", "dim"), (f"{halves:<49} ", "plain"), (shown, "accent"))


class ViewDialog(ModalScreen[None]):
    """One file; `x` changes between its text and its bytes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "close", show=False),
        Binding("x", "bytes", "text or bytes", show=False),
    ]

    def __init__(self, container: str, seen: Viewed, *, save: Callable[[], None] | None) -> None:
        super().__init__()
        self._container = container
        self._seen = seen
        self._save = save
        self._binary = is_binary(seen.data)
        self._built: tuple[tuple[bool, int], Sequence[Line]] | None = None
        if save is not None:
            binding = Binding("w", "save", "save a copy", show=False)
            self._bindings.key_to_bindings.setdefault("w", []).append(binding)

    def compose(self) -> ComposeResult:
        """Lay the box out."""
        with Vertical(classes="box full"):
            yield Bar(id="dialog-title")
            yield Lines(id="text")
            yield Bar(id="dialog-command")

    def on_mount(self) -> None:
        """Fill it."""
        lines = self.query_one("#text", Lines)
        lines.show(self._build)
        lines.focus()
        keys = [("Esc", "closes"), ("x", "text / bytes")]
        if self._save is not None:
            keys.append(("w", "save"))
        self.query_one("#dialog-command", Bar).show(hints(keys))
        self._title_line()

    def action_bytes(self) -> None:
        """Show the other view."""
        self._binary = not self._binary
        self.query_one("#text", Lines).show(self._build)
        self._title_line()

    def action_save(self) -> None:
        """Close, and ask where a copy goes."""
        save = self._save
        self.dismiss(None)
        if save is not None:
            save()

    def _title_line(self) -> None:
        seen = self._seen
        layer = "" if seen.layer is None else f" of layer {seen.layer}"
        size = seen.size_bytes or len(seen.data)
        kind = "bytes" if self._binary else "text"
        facts = f"  {units.size(size)}, {kind}{layer}"
        pieces: list[Piece] = [(f"{self._container}:{seen.path}", "bold"), (facts, "dim")]
        if not seen.complete:
            pieces.append((f"  ▲ the first {units.size(len(seen.data))} only", "pressed"))
        self.query_one("#dialog-title", Bar).show(tuple(pieces))

    def _build(self, width: int) -> Sequence[Line]:
        wanted = (self._binary, width)
        if self._built is None or self._built[0] != wanted:
            data = self._seen.data
            made = hex_lines(data) if self._binary else text_lines(data, width)
            lines = list(made) or [cells.dim("it is empty")]
            self._built = (wanted, lines)
        return self._built[1]
