"""The caller's terminal: raw while a container has it, given back as it was; detach keys; its size."""

import os
import termios
import tty
from types import TracebackType
from typing import Final, Self

DETACH_KEYS: Final = b"\x10\x11"
"""Ctrl-p Ctrl-q, as Docker and Podman have them."""


class RawTerminal:
    """Makes a terminal raw, and gives it back as it was however the block ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        # TCSANOW and not setraw's default, which throws away what was typed ahead.
        tty.setraw(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is None:
            return
        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        except termios.error:
            return  # the terminal hung up: there is nothing to give back
        finally:
            self._before = None


class DetachFilter:
    """Takes the detach keys out of what is typed; sans IO.

    A first key alone is kept back until the next byte tells; if that is another, both go through.
    """

    def __init__(self, keys: bytes = DETACH_KEYS) -> None:
        self._keys = keys
        self._held = 0
        self.detached = False
        """Whether the keys were typed; nothing that came after them is passed on."""

    def feed(self, data: bytes) -> bytes:
        """Return what is to be passed on."""
        passed = bytearray()
        for byte in data if not self.detached else b"":
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    self.detached = True
                    break
                continue
            passed += self._keys[: self._held]
            self._held = 1 if byte == self._keys[0] else 0
            if not self._held:
                passed.append(byte)
        return bytes(passed)


def is_terminal(descriptor: int) -> bool:
    """Return whether a descriptor is an open terminal."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def size(*descriptors: int) -> tuple[int, int] | None:
    """Return (columns, lines) of the first of these that is a terminal, and knows them."""
    for descriptor in descriptors:
        try:
            found = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if found.columns and found.lines:
            return found.columns, found.lines
    return None
