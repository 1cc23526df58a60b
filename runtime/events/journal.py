"""The journal: a bounded file of events, one JSON object a line, that any process may append to.

There is no daemon to collect events, so each shim and each client writes its own. One `write` with
O_APPEND is atomic among writers of one file; a line begins with a newline too, so that a torn one
(a full disk, a killed writer) never damages the next. When the file is full it is renamed and a new
one begins; a single old one is kept.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_BYTES = 8 << 20


def rfc3339(nanoseconds: int) -> str:
    """Return nanoseconds since 1970 as RFC 3339 in UTC with nine digits and a Z."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def append(
    path: str,
    topic: str,
    *,
    event: Mapping[str, object],
    namespace: str,
    source: str,
    limit_bytes: int = LIMIT_BYTES,
) -> None:
    """Add one event; `OSError` if it cannot be written. Makes the directory if it is not there."""
    record = {
        "timestamp": rfc3339(time.time_ns()),
        "source": source,
        "topic": topic,
        "engine_namespace": namespace,
        "container": event.get("container_id") or event.get("id") or event.get("key"),
        "event": event,
    }
    line = b"\n" + json.dumps(record, separators=(",", ":")).encode() + b"\n"
    descriptor = _open(path)
    try:
        os.write(descriptor, line)
        full = os.fstat(descriptor).st_size > limit_bytes
    finally:
        os.close(descriptor)
    if full:
        _rotate(path, limit_bytes)


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return os.open(path, flags, 0o644)


def _rotate(path: str, limit_bytes: int) -> None:
    """Rename the full file, once: the lock and a second look keep two writers from doing it twice."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_size > limit_bytes:
            os.rename(path, path + ".1")
    except (BlockingIOError, FileNotFoundError):
        pass  # somebody else is at it
    finally:
        os.close(directory)
