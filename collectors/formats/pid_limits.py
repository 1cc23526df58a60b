"""/proc/PID/limits (proc_pid_limits(5)): soft and hard resource limits by the kernel's names."""

import re

from runtime.errors import FormatError

_LINE = re.compile(rb"(Max [a-z ]+?) {2,}(unlimited|[0-9]{1,19}) +(unlimited|[0-9]{1,19})\b")


def parse(data: bytes) -> dict[str, tuple[int | None, int | None]]:
    """Return soft and hard by name, as `open files`; None is unlimited."""
    lines = data.splitlines()
    if not lines or not lines[0].startswith(b"Limit"):
        raise FormatError(f"not a table of limits: {data[:80]!r}")
    found: dict[str, tuple[int | None, int | None]] = {}
    for line in lines[1:]:
        match = _LINE.match(line)
        if match is None:
            raise FormatError(f"not a limit: {line[:80]!r}")
        name = match[1].decode("ascii").removeprefix("Max ").strip()
        found[name] = (_value(match[2]), _value(match[3]))
    return found


def _value(word: bytes) -> int | None:
    return None if word == b"unlimited" else int(word)
