"""/etc/os-release (os-release(5)): assignments in shell syntax."""

import shlex

from runtime.errors import FormatError
from runtime.formats import text


def parse(data: bytes) -> dict[str, str]:
    """Return the values by name, without their quotes; comments and blank lines are left out."""
    result: dict[str, str] = {}
    for line in text.decode(data).splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals or not key.isidentifier():
            raise FormatError(f"not an assignment: {line[:80]!r}")
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise FormatError(f"not a value in shell syntax: {line[:80]!r}: {error}") from None
        result[key] = " ".join(words)
    return result
