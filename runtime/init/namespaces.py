"""Which namespaces a spec asks for: new ones, and ones to join (config-linux.md)."""

import contextlib
import os
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

from runtime.errors import FailedPrecondition, InvalidArgument, Unimplemented
from runtime.formats.spec import entries, section
from runtime.linux import constants, syscalls


class Namespaces(NamedTuple):
    """A spec's namespaces by type."""

    new: frozenset[str]
    joined: Mapping[str, str]
    """From type to path."""

    @property
    def clone_flags(self) -> int:
        """The flags to clone with: the cgroup namespace is made later, inside the cgroups.

        The time namespace is made before, as its clocks cannot be set once somebody is in it.
        """
        return sum(constants.NAMESPACES[kind] for kind in self.new - {"cgroup", "time"})


def of(spec: Mapping[str, Any]) -> Namespaces:
    """Return the namespaces of a spec; raises `InvalidArgument` for what cannot be."""
    new: set[str] = set()
    joined: dict[str, str] = {}
    for entry in entries(section(spec, "linux"), "namespaces"):
        kind = entry.get("type")
        if kind not in constants.NAMESPACES:
            raise InvalidArgument(f"linux.namespaces: unknown type {kind!r}")
        if kind in new or kind in joined:
            raise InvalidArgument(f"linux.namespaces: {kind} is there twice")
        if entry.get("path"):
            joined[kind] = str(entry["path"])
        else:
            new.add(kind)
    if "mount" not in new:
        raise Unimplemented("linux.namespaces: a container needs a mount namespace of its own")
    if section(section(spec, "linux"), "timeOffsets") and "time" not in new:
        raise InvalidArgument("linux.timeOffsets: needs a time namespace of the container's own")
    return Namespaces(frozenset(new), joined)


def clocks(spec: Mapping[str, Any]) -> bytes | None:
    """Return what to write into timens_offsets (time_namespaces(7)); None without a namespace."""
    if "time" not in of(spec).new:
        return None
    lines: list[bytes] = []
    for clock, offset in section(section(spec, "linux"), "timeOffsets").items():
        if clock not in {"monotonic", "boottime"}:
            raise InvalidArgument(f"linux.timeOffsets: {clock!r} is not monotonic or boottime")
        numbers = (offset.get("secs") or 0, offset.get("nanosecs") or 0)
        lines.append(b"%s %d %d\n" % (clock.encode(), *numbers))
    return b"".join(lines)


def differing(pid: int) -> int:
    """Return the flags of the namespaces in which a process differs from this one."""
    flags = 0
    for kind, name in constants.NAMESPACE_FILES.items():
        try:
            theirs = os.readlink(f"/proc/{pid}/ns/{name}")
            if theirs != os.readlink(f"/proc/self/ns/{name}"):
                flags |= constants.NAMESPACES[kind]
        except FileNotFoundError:
            if not os.path.exists(f"/proc/{pid}"):
                raise FailedPrecondition(f"process {pid} has ended") from None
    return flags


@contextlib.contextmanager
def children_in(pid_namespace: int | None, offsets: bytes | None) -> Generator[None]:
    """Have the next child born into a pid namespace that is there, or into a new time namespace."""
    kinds = [("pid", constants.CLONE_NEWPID)] if pid_namespace is not None else []
    if offsets is not None:
        kinds.append(("time", constants.CLONE_NEWTIME))
    flags = os.O_RDONLY | os.O_CLOEXEC
    own = [(os.open(f"/proc/self/ns/{name}", flags), kind) for name, kind in kinds]
    try:
        if pid_namespace is not None:
            syscalls.setns(pid_namespace, constants.CLONE_NEWPID)
        if offsets is not None:
            _make_clocks(offsets)
        yield
    finally:
        for descriptor, kind in own:
            syscalls.setns(descriptor, kind)
            os.close(descriptor)


def _make_clocks(offsets: bytes) -> None:
    syscalls.unshare(constants.CLONE_NEWTIME)
    if offsets:
        descriptor = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, offsets)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "linux.timeOffsets") from None
        finally:
            os.close(descriptor)
