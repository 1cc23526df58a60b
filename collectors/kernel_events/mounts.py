"""Hears of mounts and unmounts, by poll(2) on one process's /proc/PID/mountinfo a mount namespace.

An open mountinfo keeps its namespace, and what is mounted there, alive. So the process itself is
watched too, by a pidfd: the file is let go within moments of its end.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from runtime.errors import FormatError
from runtime.formats import mountinfo, text
from runtime.formats.mountinfo import MountInfo

_CHUNK: Final = 1 << 16
_LARGEST: Final = 4 << 20
"""Bytes of a table; of a larger one only that it changed is told."""


class MountChange(NamedTuple):
    """One line of a mount table that came, went, or became another."""

    what: Literal["mounted", "unmounted", "remounted"]
    namespace: int
    pid: int
    mount: MountInfo


class _Watched:
    __slots__ = ("lines", "namespace", "pid", "pidfd", "table")

    def __init__(self, namespace: int, pid: int, pidfd: int, table: int) -> None:
        self.namespace, self.pid, self.pidfd, self.table = namespace, pid, pidfd, table
        self.lines: dict[bytes, bytes] = {}
        """By mount id."""


class MountTables:
    """Open tables; to be closed."""

    def __init__(self) -> None:
        """Watch none yet."""
        self._by_table: dict[int, _Watched] = {}
        self._by_pidfd: dict[int, _Watched] = {}
        self._by_namespace: dict[int, _Watched] = {}

    @property
    def watched(self) -> Mapping[int, int]:
        """The processes whose table is watched, by namespace."""
        return {namespace: one.pid for namespace, one in self._by_namespace.items()}

    def add(self, namespace: int, pid: int) -> tuple[int, int] | None:
        """Watch a namespace by a process in it; return the table and the pidfd.

        Poll the table for POLLPRI, the pidfd for POLLIN. None: it went away, or is not to be seen.
        """
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return None
        table = -1
        try:
            table = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            # A pid is used again: this one must still be in the namespace that was meant.
            if os.readlink(f"/proc/{pid}/ns/mnt") == f"mnt:[{namespace}]":
                one = _Watched(namespace, pid, pidfd, table)
                one.lines = _lines(table) or {}
                self._by_table[table] = self._by_pidfd[pidfd] = one
                self._by_namespace[namespace] = one
                return table, pidfd
        except OSError:
            pass
        os.close(pidfd)
        if table >= 0:
            os.close(table)
        return None

    def ended(self, descriptor: int) -> int | None:
        """Return the namespace whose process a descriptor stands for; None: it is no pidfd here."""
        one = self._by_pidfd.get(descriptor)
        return one.namespace if one is not None else None

    def remove(self, namespace: int) -> None:
        """Let a namespace be."""
        one = self._by_namespace.pop(namespace, None)
        if one is None:
            return
        del self._by_table[one.table], self._by_pidfd[one.pidfd]
        os.close(one.table)
        os.close(one.pidfd)

    def close(self) -> None:
        """Let all be."""
        for namespace in tuple(self._by_namespace):
            self.remove(namespace)

    def changes(self, descriptor: int) -> list[MountChange]:
        """Return what changed in a table since it was last read."""
        one = self._by_table.get(descriptor)
        if one is None:
            return []
        after = _lines(one.table)
        if after is None:
            return []
        before, one.lines = one.lines, after
        found: list[MountChange] = []
        for key in [*(before.keys() - after.keys()), *sorted(after.keys() - before.keys())]:
            gone = key in before
            _tell(
                found, "unmounted" if gone else "mounted", one, before[key] if gone else after[key]
            )
        for key, line in after.items():
            if key in before and before[key] != line:
                _tell(found, "remounted", one, line)
        return found


def _tell(
    found: list[MountChange],
    what: Literal["mounted", "unmounted", "remounted"],
    one: _Watched,
    line: bytes,
) -> None:
    with contextlib.suppress(FormatError):
        (mount,) = mountinfo.parse(line + b"\n")
        mount = mount._replace(
            mountpoint=text.clean(mount.mountpoint), source=text.clean(mount.source)
        )
        found.append(MountChange(what, one.namespace, one.pid, mount))


def _lines(table: int) -> dict[bytes, bytes] | None:
    """Return the table's lines by mount id; None where it cannot be read, or is too large."""
    try:
        os.lseek(table, 0, os.SEEK_SET)
        chunks: list[bytes] = []
        size = 0
        while data := os.read(table, _CHUNK):
            chunks.append(data)
            size += len(data)
            if size > _LARGEST:
                return None
    except OSError:
        return None
    return {line.partition(b" ")[0]: line for line in b"".join(chunks).split(b"\n") if line}
