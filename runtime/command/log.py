"""Messages to whoever called: to stderr, and to the file of --log for an engine to read."""

import json
import os
import sys
import time
from typing import Final

from runtime.errors import InvalidArgument

_FORMATS = ("text", "json")
_LONGEST: Final = 4000
_chosen: list[str | None] = [None, "text"]


def configure(path: str | None, form: str) -> None:
    """Say where messages go; raises `InvalidArgument` for an unknown form."""
    if form not in _FORMATS:
        raise InvalidArgument(f'invalid value "{form}" for flag -log-format: text or json')
    _chosen[:] = [path or None, form]


def failed(message: str) -> None:
    """Tell why the command ends in failure."""
    path, message = _chosen[0], _cut(message)
    _put("error", message)
    if path:
        _to_stderr(message)


def warn(message: str) -> None:
    """Tell of something that was not as it should be."""
    _put("warning", _cut(message))


def _cut(message: str) -> str:
    """Leave out the middle of what a config has made endless: its name and the reason stay."""
    if len(message) <= _LONGEST:
        return message
    return f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"


def _put(level: str, message: str) -> None:
    path, form = _chosen
    if form == "json":
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"level": level, "msg": message, "time": now})
    elif path:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = f'time="{now}" level={level} msg={json.dumps(message)}'
    else:
        line = f"cinspect-oci: {message}"
    if not path:
        _to_stderr(line)
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        try:
            os.write(descriptor, line.encode(errors="backslashreplace") + b"\n")
        finally:
            os.close(descriptor)
    except OSError as error:
        _to_stderr(f"cinspect-oci: --log {path}: {error.strerror}")


def _to_stderr(line: str) -> None:
    try:
        os.write(
            sys.__stderr__.fileno() if sys.__stderr__ else 2,
            f"{_one_line(line)}\n".encode(errors="backslashreplace"),
        )
    except OSError:
        return  # nobody is there to be told


def _one_line(text: str) -> str:
    """Return what a hostile config names in a form that no terminal obeys."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
