"""/proc/PID/mountinfo (proc_pid_mountinfo(5)): octal escapes, optional fields, propagation."""

import re
from typing import NamedTuple

from runtime.errors import FormatError

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
_OPTION = re.compile(r'[a-z]*context="[^"]*"|[^,]+')
"""Options are parted by commas; only a security context is quoted, and may hold some itself."""
_DEVICE = re.compile(r"[0-9]+:[0-9]+", re.ASCII)
_FIXED = 4
"""Fields before the optional ones, both numbers left out."""


class MountInfo(NamedTuple):
    """One mount, every field of its line.

    Bytes that are not UTF-8 are surrogate escapes, so that `os.fsencode` gives the path back.
    """

    mount_id: int
    parent_id: int
    device: str
    """`major:minor`."""
    root: str
    mountpoint: str
    """With the kernel's own `//deleted` behind one whose directory was removed."""
    options: tuple[str, ...]
    propagation: tuple[str, ...]
    """Optional fields: `shared:1`, `master:2`, `propagate_from:2`, `unbindable`; none is private."""
    fstype: str
    source: str
    super_options: tuple[str, ...]


Tail = tuple[str, str, str, tuple[str, ...], tuple[str, ...], str, str, tuple[str, ...]]
"""Every field of a `MountInfo` but both numbers."""


def parse(data: bytes, known: dict[bytes, Tail] | None = None) -> tuple[MountInfo, ...]:
    """Return the mounts in the file's order; raise `FormatError` on a line that is not one.

    The kernel ends each line with a newline: data that does not was torn, and is refused. Mount
    namespaces are copies of others, their lines alike but for both numbers: `known`, which the
    caller keeps, has what was understood of the rest.
    """
    lines = data.split(b"\n")
    if lines.pop():
        raise FormatError("mountinfo ends in the middle of a line")
    known = {} if known is None else known
    seen: dict[str, tuple[str, ...]] = {}
    found: list[MountInfo] = []
    for line in lines:
        try:
            mount_id, parent_id, rest = line.split(b" ", 2)
            tail = known.get(rest)
            if tail is None:
                tail = known[rest] = _tail(line, rest, seen)
            found.append(MountInfo._make((int(mount_id), int(parent_id), *tail)))
        except ValueError:
            raise FormatError(f"not a mountinfo line: {line[:160]!r}") from None
    return tuple(found)


def unescape(field: bytes) -> str:
    r"""Return a field with its octal escapes undone: `\040` is a space, `\012` a newline.

    A backslash before anything else stays: not every filesystem escapes what it shows.
    """
    if b"\\" in field:
        field = _ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), field)
    return field.decode("utf-8", "surrogateescape")


def _tail(line: bytes, rest: bytes, seen: dict[str, tuple[str, ...]]) -> Tail:
    """Return all fields of a line behind both numbers."""
    # One space parts two fields, and a field can be empty: a source is whatever mount(2) was told.
    fields = rest.decode("utf-8", "surrogateescape").split(" ")
    try:
        dash = fields.index("-", _FIXED)
        fstype, source, super_options = fields[dash + 1 :]
    except ValueError:
        raise FormatError(f"not a mountinfo line: {line[:160]!r}") from None
    if not _DEVICE.fullmatch(fields[0]):
        raise FormatError(f"not a device number in a mountinfo line: {line[:160]!r}")
    return (
        fields[0],
        _text(fields[1]),
        _text(fields[2]),
        _options(fields[3], seen),
        tuple(fields[_FIXED:dash]),
        _text(fstype),
        _text(source),
        _options(super_options, seen),
    )


def _text(field: str) -> str:
    return unescape(field.encode("utf-8", "surrogateescape")) if "\\" in field else field


def _options(field: str, seen: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    # Hundreds of lines share a few option lists: one tuple each saves most of the time and memory.
    found = seen.get(field)
    if found is None:
        # Parted before the escapes are undone: a comma within a path is `\054` here.
        found = seen[field] = tuple(map(_text, _OPTION.findall(field)))
    return found
