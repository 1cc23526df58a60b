"""Where this host's cgroup hierarchies are mounted: v1, hybrid or v2 (cgroups(7))."""

import errno
import os
from typing import NamedTuple

from runtime.errors import FormatError


class Hierarchy(NamedTuple):
    """One mounted hierarchy."""

    version: int
    name: str
    """v1: its controllers joined by commas, or the name in `name=…`; v2: `unified`."""
    controllers: tuple[str, ...]
    """v2: what its root offers."""
    mountpoint: str
    own: str
    """The path of the process that looked, below the hierarchy's root."""


def parse(mountinfo: bytes, self_cgroup: bytes) -> tuple[Hierarchy, ...]:
    """Return every cgroup mount, newest first, v2 ones without controllers (proc(5)).

    A hierarchy that is mounted twice is there twice.
    """
    own = own_paths(self_cgroup)
    found: list[Hierarchy] = []
    for line in reversed(mountinfo.splitlines()):
        left, separator, right = line.partition(b" - ")
        if separator and not right.startswith(b"cgroup"):
            continue
        fields, tail = left.split(), right.split()
        if not separator or len(fields) < 6 or len(tail) < 3:
            raise FormatError(f"not a line of mountinfo: {line[:80]!r}")
        if tail[0] not in {b"cgroup", b"cgroup2"}:
            continue
        mountpoint = _unescape(fields[4])
        if tail[0] == b"cgroup2":
            found.append(Hierarchy(2, "unified", (), mountpoint, own.get("", "/")))
            continue
        options = set(os.fsdecode(tail[2]).split(","))
        for names, path in own.items():
            if names and set(names.split(",")) <= options:
                found.append(_first_version(names, mountpoint=mountpoint, own=path))
    return tuple(found)


def _first_version(names: str, *, mountpoint: str, own: str) -> Hierarchy:
    named = names.startswith("name=")
    name = names.removeprefix("name=")
    return Hierarchy(1, name, () if named else tuple(name.split(",")), mountpoint, own)


def own_paths(data: bytes) -> dict[str, str]:
    """Return /proc/PID/cgroup as paths by controllers; v2's key is empty."""
    result: dict[str, str] = {}
    for line in os.fsdecode(data).splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            raise FormatError(f"not a line of /proc/PID/cgroup: {line[:80]!r}")
        result[parts[1]] = parts[2]
    return result


def _unescape(field: bytes) -> str:
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        field = field.replace(escaped, plain)
    return os.fsdecode(field.replace(b"\\134", b"\\"))


def discover() -> tuple[Hierarchy, ...]:
    """Return the hierarchies that can be reached, each once, v1 before v2."""
    found: dict[str, Hierarchy] = {}
    for each in parse(read("/proc/self/mountinfo"), read("/proc/self/cgroup")):
        # What is mounted over cannot be told from mountinfo alone: look.
        if each.name in found or not os.path.exists(f"{each.mountpoint}/cgroup.procs"):
            continue
        if each.version == 2:
            offered = os.fsdecode(read(f"{each.mountpoint}/cgroup.controllers"))
            each = each._replace(controllers=tuple(offered.split()))  # noqa: PLW2901 - the same one, completed
        found[each.name] = each
    return tuple(sorted(found.values(), key=lambda each: (each.version, each.name)))


def read(path: str) -> bytes:
    """Return a whole file of procfs or cgroupfs; raises OSError.

    A cgroup that is removed meanwhile is as good as one that was not there: `FileNotFoundError`.
    """
    parts: list[bytes] = []
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while part := os.read(descriptor, 1 << 16):
                parts.append(part)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _told(error, path) from None
    return b"".join(parts)


def write(path: str, value: str) -> None:
    """Write one value into a file of cgroupfs in one call; raises OSError with the path, as `read`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _told(error, path) from None


def _told(error: OSError, path: str) -> OSError:
    """Return an error with its path; a file whose directory went while it was open is not there."""
    number = errno.ENOENT if error.errno == errno.ENODEV else error.errno
    return OSError(number, os.strerror(number or 0), path)
