"""The mounts that a container sees, as a tree: volumes, memory, masks, and how each spreads."""

from collections.abc import Sequence
from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.mounts.model import Mount
from screens import safe
from screens.layers.asked import Subject, View
from screens.layers.stack import pair
from screens.widgets import cells
from screens.widgets.cells import Line, Tone
from screens.widgets.table_columns import Shown


def _mounts(subject: Subject) -> Sequence[Mount]:
    inode = subject.container.namespaces.get("mnt")
    return [one for one in subject.moment.mounts if one.namespace == inode]


_MEANS: Final = {
    "root": "its root",
    "volume": "a directory or a filesystem from outside: it outlives the container",
    "tmpfs": "memory: gone when it is unmounted",
    "mask": "it hides a file of the kernel's",
    "kernel": "the kernel's own files",
}


def _from(one: Mount) -> str:
    if one.kind in {"root", "volume"} and one.host_path:
        return one.host_path
    return one.source if one.root == "/" else f"{one.source}{one.root}"


def _mount_lines(one: Mount, _subject: Subject) -> list[Line]:
    spreads = {
        "private": "private: what is mounted below it stays here",
        "shared": "shared: what is mounted below it shows outside, and the other way",
        "slave": "slave: what is mounted outside shows here, not the other way",
    }
    limit = f", at most {units.size(one.size_limit_bytes)}" if one.size_limit_bytes else ""
    return [
        ((f" {one.mountpoint}  ", "bold"), (f"{_MEANS[one.kind]}{limit}", "plain")),
        pair("from", f"{_from(one)} ({one.fstype}, {one.source})"),
        pair("spreads", spreads.get(one.spreads, one.spreads)),
        pair("options", ",".join(dict.fromkeys((*one.options, *one.super_options)))),
    ]


def _mount_columns() -> tuple[Shown[Mount], ...]:
    def point(one: Mount, width: int) -> Line:
        tone: Tone = "bold" if one.kind in {"root", "volume", "tmpfs"} else "dim"
        path, room = safe.text(one.mountpoint), max(8, width - 2 * one.depth)
        # Those below each other begin alike: it is the end that tells them apart.
        shown = path if safe.width(path) <= room else safe.ELLIPSIS + path[-(room - 1) :]
        return (("  " * one.depth, "dim"), (shown, tone))

    def limit(one: Mount, _width: int) -> Line:
        return cells.plain(units.size(one.size_limit_bytes)) if one.size_limit_bytes else ()

    def mode(one: Mount) -> str:
        return "ro" if "ro" in one.options else "rw"

    return (
        Shown(
            column=Column[Mount]("path", "MOUNTED AT", lambda one: one.mountpoint, width=20),
            paint=point,
            priority=0,
            grow=2,
            sortable=False,
        ),
        Shown(column=Column[Mount]("kind", "KIND", lambda one: one.kind, width=6), priority=0),
        Shown(column=Column[Mount]("fs", "FS", lambda one: one.fstype, width=8), priority=2),
        Shown(column=Column[Mount]("mode", "", mode, width=2), priority=3),
        Shown(
            column=Column[Mount]("spreads", "SPREADS", lambda one: one.spreads, width=8),
            priority=1,
        ),
        Shown(
            column=Column[Mount](
                "limit", "LIMIT", lambda one: one.size_limit_bytes, width=6, align="right"
            ),
            paint=limit,
            priority=4,
        ),
        Shown(
            column=Column[Mount]("from", "FROM", _from, width=14),
            priority=2,
            grow=3,
            sortable=False,
        ),
    )


MOUNTS: Final = View[Mount](
    key="mounts",
    title="Mounts",
    help="its mount tree: volumes, memory, masks, propagation",
    columns=_mount_columns(),
    identify=lambda one: str(one.mount_id),
    items=_mounts,
    empty=lambda _: "no mount of its own is known, or the filter fits none",
    note=_mount_lines,
    path=lambda _: None,
)
