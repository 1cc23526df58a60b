"""The action log: who did what to which container, and what came of it; a file that only grows."""

import contextlib
import json
import logging
import os
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from inspector.errors import Failure
from runtime.errors import RuntimeFailure

_LIMIT_BYTES: Final = 8 << 20
"""Then the file becomes `NAME.1`, in the place of the one before."""
_log: Final = logging.getLogger("cinspect.actions")


@dataclass(frozen=True, slots=True)
class ActionLog:
    """Appends JSON lines to one file; several processes may at once."""

    path: str

    @classmethod
    def below(cls, root: str) -> Self:
        """Return the log of an engine's root directory."""
        return cls(os.path.join(root, "actions.ndjson"))

    def record(
        self, action: str, container: str, *, engine: str | None, how: str | None, error: str | None
    ) -> None:
        """Append one line. A log that cannot be written is said so, and stops no action."""
        entry = {
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "uid": os.getuid(),
            "sudo_user": os.environ.get("SUDO_USER"),
            "pid": os.getpid(),
            "action": action,
            "container": container,
            "engine": engine,
            "how": how,
            "error": error,
        }
        try:
            self._append(json.dumps(entry).encode() + b"\n")
        except OSError as failure:
            # An action that failed has its own line to say, and most likely the same reason.
            level = logging.WARNING if error is None else logging.INFO
            _log.log(level, "%s: not written: %s", self.path, failure.strerror)

    @contextlib.contextmanager
    def doing(self, action: str, container: str, *, how: str | None = None) -> Generator[None]:
        """Record an action of the embedded engine's when the block has ended, whatever came of it."""
        error: str | None = "interrupted"
        try:
            yield
            error = None
        except (RuntimeFailure, Failure) as failure:
            error = str(failure)
            raise
        finally:
            self.record(action, container, engine="cinspect", how=how, error=error)

    def _append(self, line: bytes) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.write(descriptor, line)  # one call: lines of two processes never mix
            if os.fstat(descriptor).st_size > _LIMIT_BYTES:
                os.replace(self.path, f"{self.path}.1")
        finally:
            os.close(descriptor)
