"""A real terminal to type at and to read from: tmux with a server of its own."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDE = (160, 48)
NARROW = (80, 24)


@dataclass(frozen=True)
class Terminal:
    """One window, in which a shell waits for commands."""

    socket: Path

    def tmux(self, *arguments: str) -> str:
        """Give tmux a command; return what it printed."""
        done = subprocess.run(
            ("tmux", "-S", str(self.socket), *arguments),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Type keys by tmux's names for them, as `Enter`, `Escape`, `C-c`, `q`."""
        self.tmux("send-keys", "-t", "0", *keys)

    def type(self, text: str) -> None:
        """Type text and Enter."""
        self.tmux("send-keys", "-t", "0", "-l", text)
        self.press("Enter")

    def screen(self) -> str:
        """Return the text on the screen."""
        return self.tmux("capture-pane", "-p", "-t", "0")

    def on_alternate_screen(self) -> bool:
        """Tell whether a full-screen program has the terminal."""
        return self.tmux("display-message", "-p", "-t", "0", "#{alternate_on}").strip() == "1"

    def wait(self, holds: Callable[[str], bool] | str, *, seconds: float = 15) -> str:
        """Wait until the screen is so, or has this text on it; return it."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.screen()
            if holds in text if isinstance(holds, str) else holds(text):
                return text
            assert time.monotonic() < deadline, f"no {holds!r} within {seconds} s on:\n{text}"
            time.sleep(0.1)


@contextlib.contextmanager
def terminal(size: tuple[int, int], environment: Sequence[str] = ()) -> Iterator[Terminal]:
    """Open a terminal of this many columns and lines; whatever runs in it ends with it."""
    with tempfile.TemporaryDirectory(prefix="cinspect-tmux-") as directory:
        one = Terminal(Path(directory, "socket"))
        columns, lines = map(str, size)
        setting = [word for variable in environment for word in ("-e", variable)]
        one.tmux(
            *("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", lines, *setting),
            # A program believes these before it asks the terminal.
            *("env", "-u", "COLUMNS", "-u", "LINES", "PS1=ready> ", "LC_ALL=C.UTF-8", "sh"),
        )
        try:
            one.wait("ready>")
            yield one
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                one.tmux("kill-server")
