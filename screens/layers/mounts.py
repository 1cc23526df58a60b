"""The mounts that a container sees, as a tree: volumes, memory, masks, and how each spreads."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from inspector import units
from inspector.columns import Column
from inspector.domains.mounts.model import Mount, MountedFilesystem
from screens import safe
from screens.layers.asked import Subject, View
from screens.layers.stack import pair
from screens.widgets.cells import Line, Tone
from screens.widgets.table_columns import Shown

_NEARLY_FULL: Final = 0.9


class Row(NamedTuple):
    """A mount, and how full its filesystem is."""

    mount: Mount
    filesystem: MountedFilesystem | None

    @property
    def used(self) -> float | None:
        """The share of it that is in use; None where it was not asked, or holds nothing."""
        one = self.filesystem
        if one is None or one.used_bytes is None or not one.size_bytes:
            return None
        return one.used_bytes / one.size_bytes


def _mounts(subject: Subject) -> Sequence[Row]:
    inode = subject.container.namespaces.get("mnt")
    full = subject.moment.filesystem_by_device
    return [
        Row(one, full.get(one.device) if one.kind in {"root", "volume", "tmpfs"} else None)
        for one in subject.moment.mounts
        if one.namespace == inode
    ]


_MEANS: Final = {
    "root": "its root",
    "volume": "a directory or a filesystem from outside: it outlives the container",
    "tmpfs": "memory: gone when it is unmounted",
    "mask": "it hides a file of the kernel's",
    "kernel": "the kernel's own files",
}


def _from(row: Row) -> str:
    one = row.mount
    if one.kind in {"root", "volume"} and one.host_path:
        return one.host_path
    return one.source if one.root == "/" else f"{one.source}{one.root}"


def _full(row: Row) -> str:
    one, used = row.filesystem, row.used
    if one is None or one.used_bytes is None or used is None:
        return "not known: it was not asked, or is an overlay"
    free = f"{units.size(one.available_bytes)} free" if one.available_bytes is not None else ""
    others = len(one.containers) - 1
    shared = f", {others} more container{'s' if others > 1 else ''} in it" if others > 0 else ""
    return f"{units.size(one.used_bytes)} of {units.size(one.size_bytes or 0)} used ({used:.0%}), {free}{shared}"


def _mount_lines(row: Row, _subject: Subject) -> list[Line]:
    one = row.mount
    spreads = {
        "private": "private: what is mounted below it stays here",
        "shared": "shared: what is mounted below it shows outside, and the other way",
        "slave": "slave: what is mounted outside shows here, not the other way",
    }
    limit = f", at most {units.size(one.size_limit_bytes)}" if one.size_limit_bytes else ""
    return [
        ((f" {one.mountpoint}  ", "bold"), (f"{_MEANS[one.kind]}{limit}", "plain")),
        pair("from", f"{_from(row)} ({one.fstype}, {one.source})"),
        *([pair("full", _full(row))] if row.filesystem is not None else []),
        pair("spreads", spreads.get(one.spreads, one.spreads)),
        pair("options", ",".join(dict.fromkeys((*one.options, *one.super_options)))),
    ]


def _mount_columns() -> tuple[Shown[Row], ...]:
    def point(row: Row, width: int) -> Line:
        one = row.mount
        tone: Tone = "bold" if one.kind in {"root", "volume", "tmpfs"} else "dim"
        path, room = safe.text(one.mountpoint), max(8, width - 2 * one.depth)
        # Those below each other begin alike: it is the end that tells them apart.
        shown = path if safe.width(path) <= room else safe.ELLIPSIS + path[-(room - 1) :]
        return (("  " * one.depth, "dim"), (shown, tone))

    def used(row: Row, _width: int) -> Line:
        one = row.filesystem
        if one is None or one.used_bytes is None or row.used is None:
            most = row.mount.size_limit_bytes
            return ((f"of {units.size(most)}", "dim"),) if most else ()
        tone: Tone = "pressed" if row.used >= _NEARLY_FULL else "plain"
        size = units.size(one.size_bytes or 0)
        return ((f"{units.size(one.used_bytes):>5} of {size:>5}", tone),)

    def mode(row: Row) -> str:
        return "ro" if "ro" in row.mount.options else "rw"

    return (
        Shown(
            column=Column[Row]("path", "MOUNTED AT", lambda one: one.mount.mountpoint, width=20),
            paint=point,
            priority=0,
            grow=2,
            sortable=False,
        ),
        Shown(column=Column[Row]("kind", "KIND", lambda one: one.mount.kind, width=6), priority=0),
        Shown(column=Column[Row]("fs", "FS", lambda one: one.mount.fstype, width=8), priority=2),
        Shown(column=Column[Row]("mode", "", mode, width=2), priority=3),
        Shown(
            column=Column[Row]("spreads", "SPREADS", lambda one: one.mount.spreads, width=8),
            priority=1,
        ),
        Shown(
            column=Column[Row]("used", "USED", lambda one: one.used, width=14, align="right"),
            paint=used,
            priority=3,
        ),
        Shown(
            column=Column[Row]("from", "FROM", _from, width=14),
            priority=2,
            grow=3,
            sortable=False,
        ),
    )


MOUNTS: Final = View[Row](
    key="mounts",
    title="Mounts",
    help="its mount tree: volumes, memory, masks, propagation",
    columns=_mount_columns(),
    identify=lambda one: str(one.mount.mount_id),
    items=_mounts,
    empty=lambda _: "no mount of its own is known, or the filter fits none",
    note=_mount_lines,
    path=lambda _: None,
)
