"""The kernel's "nested keyed" files: a key, then `subkey=value` pairs (cgroup-v2.rst, "Format")."""

from runtime.errors import FormatError


def parse(data: bytes) -> dict[str, dict[str, str]]:
    """Return `io.stat`, `io.max`, `*.pressure` and their like: values as text, by key and subkey.

    A key with no pairs at all has an empty table. Some kernels leave the line end out after such
    a key (`7:0 7:1 8:0 rbytes=1`): then the pairs belong to the last key of the line.
    """
    result: dict[str, dict[str, str]] = {}
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise FormatError(f"not a nested keyed file: {data[:80]!r}") from None
    for line in lines:
        key: str | None = None
        for word in line.split():
            subkey, equals, value = word.partition("=")
            if not equals:
                key = word
                result.setdefault(key, {})
            elif key is None or not subkey or not value:
                raise FormatError(f"not a nested keyed line: {line[:80]!r}")
            else:
                result[key][subkey] = value
    return result
