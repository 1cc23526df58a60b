"""Hears of want of memory in cgroups of version 1, by eventfd(2) (cgroup-v1/memory.rst, 9 to 11).

A descriptor is bound to a control file by a line in cgroup.event_control. The kernel then adds one
to it each time; and once more when the cgroup is removed, which tells of kills in one that is gone.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from collectors.errors import CollectError
from collectors.root import Root

Notice = Literal["oom", "pressure", "usage"]
_NEAR: Final = 0.9
"""Of its limit: the usage that is told of."""
_UNLIMITED: Final = 1 << 60


class Noticed(NamedTuple):
    """One notice of a cgroup."""

    what: Notice
    path: str
    """Below the hierarchy's mountpoint."""
    times: int
    """How often since the last time; of pressure and usage, at least."""
    gone: bool
    """The cgroup was removed meanwhile."""
    threshold_bytes: int | None = None
    """Of `usage`: what it went above."""


class Bound(NamedTuple):
    """What one descriptor is for."""

    directory: str
    path: str
    what: Notice
    threshold_bytes: int | None


class Notices:
    """Descriptors for the notices of cgroups; to be closed."""

    def __init__(self, root: Root) -> None:
        """Watch nothing yet."""
        self._root = root
        self._bound: dict[int, Bound] = {}
        self._of: dict[str, tuple[int, ...]] = {}
        """Descriptors by a cgroup's directory."""

    @property
    def watched(self) -> frozenset[str]:
        """The directories that are watched."""
        return frozenset(self._of)

    def add(self, directory: str, path: str) -> tuple[int, ...]:
        """Watch a cgroup; return its descriptors, to be polled for reading. None: it cannot be."""
        made: list[int] = []
        limit = self._number(directory, "memory.limit_in_bytes")
        near = int(limit * _NEAR) if limit is not None and limit < _UNLIMITED else None
        wanted: list[tuple[Notice, str, str, int | None]] = [
            ("oom", "memory.oom_control", "", None),
            ("pressure", "memory.pressure_level", "medium,local", None),
        ]
        if near:
            wanted.append(("usage", "memory.usage_in_bytes", str(near), near))
        for what, file, argument, threshold in wanted:
            with contextlib.suppress(OSError):
                descriptor = _bind(self._root.resolve(directory), file, argument)
                self._bound[descriptor] = Bound(directory, path, what, threshold)
                made.append(descriptor)
        if made:
            self._of[directory] = tuple(made)
        return tuple(made)

    def remove(self, directory: str) -> tuple[int, ...]:
        """Let a cgroup be; return the descriptors that were closed."""
        closed = self._of.pop(directory, ())
        for descriptor in closed:
            del self._bound[descriptor]
            os.close(descriptor)
        return closed

    def close(self) -> None:
        """Let all be."""
        for directory in tuple(self._of):
            self.remove(directory)

    def read(self, descriptor: int) -> Noticed | None:
        """Return what a descriptor tells; None for one that is closed, or tells nothing yet."""
        bound = self._bound.get(descriptor)
        if bound is None:
            return None
        try:
            count = os.eventfd_read(descriptor)
        except BlockingIOError:
            return None
        gone = not os.path.isdir(self._root.resolve(bound.directory))
        # Its removal is one signal of each descriptor.
        count -= gone
        if count <= 0 and not gone:
            return None
        if bound.what == "usage" and not gone and not self._above(bound):
            return None  # it went below again
        return Noticed(bound.what, bound.path, count, gone, bound.threshold_bytes)

    def directory(self, descriptor: int) -> str | None:
        """Return the cgroup that a descriptor is for."""
        bound = self._bound.get(descriptor)
        return bound.directory if bound is not None else None

    def _above(self, bound: Bound) -> bool:
        usage = self._number(bound.directory, "memory.usage_in_bytes")
        return usage is not None and usage >= (bound.threshold_bytes or 0)

    def _number(self, directory: str, file: str) -> int | None:
        try:
            return int(self._root.read(f"{directory}/{file}"))
        except (CollectError, ValueError):
            return None


def _bind(directory: str, file: str, argument: str) -> int:
    """Return an eventfd that the kernel adds to; raise OSError."""
    descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        watched = os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            control = os.open(f"{directory}/cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(control, f"{descriptor} {watched} {argument}".strip().encode())
            finally:
                os.close(control)
        finally:
            os.close(watched)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def targets(found: Mapping[str, str], most: int) -> tuple[dict[str, str], int]:
    """Return at most so many cgroups, the deepest first, and how many are left out."""
    ordered = sorted(found, key=lambda one: (-one.count("/"), one))
    return {one: found[one] for one in ordered[:most]}, max(0, len(ordered) - most)
