"""The lists beside the stack: what changed, what is wasted, what is written, what is deleted and open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from inspector import units
from inspector.columns import Column
from inspector.domains.layers import columns
from inspector.domains.layers.model import Change
from inspector.layers.model import DeletedFile, WastedPath
from screens.layers.asked import Asked, Subject, View
from screens.layers.stack import MARKS, change_lines, pair
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone
from screens.widgets.table_columns import Shown

T = TypeVar("T")

_KIND: Final = 10
_MOST: Final = 200
"""Changes that a frame has at most (inspector.domains.layers.model)."""
_HOLDERS: Final = 4


def _changes(subject: Subject) -> Sequence[Change]:
    """Return the newest ones as the frame has them; all of them, once asked for, where it left some out."""
    report = subject.asked.report
    counted = subject.container.rootfs.changes if subject.container.rootfs else None
    whole = counted is not None and counted.complete and len(counted.files) < _MOST
    if report is not None and not whole:
        return report.changes
    return counted.files if counted else ()


def _change_columns() -> tuple[Shown[Change], ...]:
    def kind(change: Change, width: int) -> Line:
        text = columns.KIND.text(change)
        mark: Piece = (MARKS[change.kind], "accent")
        return (mark,) if width < _KIND else (mark, (f" {text}", "dim"))

    def path(change: Change, _width: int) -> Line:
        tone: Tone = "dim" if change.kind == "deleted" else "plain"
        return ((change.path + ("/" if change.is_directory else ""), tone),)

    def size(change: Change, _width: int) -> Line:
        if change.kind in {"deleted", "opaque"}:
            return cells.BLANK
        return cells.plain(columns.SIZE.text(change))

    def layer(change: Change, _width: int) -> Line:
        return cells.BLANK if change.layer is None else ((str(change.layer), "dim"),)

    return (
        Shown(column=columns.KIND, paint=kind, priority=0, width=12),
        Shown(column=columns.PATH, paint=path, priority=0, width=16, grow=1),
        Shown(column=columns.LAYER, paint=layer, priority=2, title="OVER"),
        Shown(column=columns.SIZE, paint=size, priority=1),
        Shown(column=columns.MODIFIED, priority=3),
    )


CHANGES: Final = View[Change](
    key="changes",
    title="Changes",
    help="what the upper layer changed",
    columns=_change_columns(),
    identify=lambda change: change.path,
    items=_changes,
    empty=lambda _: "nothing is changed, or the filter fits nothing",
    note=lambda change, _: change_lines(change),
    path=lambda change: change.path,
    sort="path",
)


def _sized(key: str, title: str, value: Callable[[T], int | None]) -> Column[T]:
    """Return a column of bytes."""

    def text(one: T) -> str:
        known = value(one)
        return "" if known is None else units.size(known)

    return Column(key, title, value, text, unit="bytes", width=7, align="right")


def _wasted_path(one: WastedPath) -> str:
    return f"{one.path}/ ({one.files} files)" if one.is_directory else one.path


def _wasted_empty(asked: Asked) -> str:
    if asked.problems.get("wasted"):
        return asked.problems["wasted"]
    return (
        "S weighs all layers: which bytes nobody can see"
        if asked.weighed is None
        else "nothing is wasted, or the filter fits nothing"
    )


def _wasted_lines(one: WastedPath, _subject: Subject) -> list[Line]:
    why = {
        "replaced": "a layer above has another version of it",
        "deleted": "a whiteout above deletes it; its bytes are still in the layer",
        "opaque": "an opaque directory above covers it",
    }
    files = f" in {one.files} files" if one.is_directory else ""
    return [
        ((f" {one.path}  ", "bold"), (f"in {one.layer}, seen by nobody", "plain")),
        pair("why", f"{why[one.why]} ({one.hidden_by})"),
        pair("wastes", f"{units.count(one.size_bytes)} bytes{files}"),
    ]


WASTED: Final = View[WastedPath](
    key="wasted",
    title="Wasted",
    help="the largest files that no one can see",
    columns=(
        Shown(
            column=_sized("size_bytes", "BYTES", lambda one: one.size_bytes),
            priority=0,
        ),
        Shown(column=Column[WastedPath]("why", "WHY", lambda one: one.why, width=8), priority=1),
        Shown(column=Column[WastedPath]("layer", "IN", lambda one: one.layer, width=8), priority=2),
        Shown(
            column=Column[WastedPath]("by", "HIDDEN BY", lambda one: one.hidden_by, width=9),
            priority=3,
        ),
        Shown(
            column=Column[WastedPath]("path", "PATH", _wasted_path, width=16), priority=0, grow=1
        ),
    ),
    identify=lambda one: f"{one.layer} {one.path}",
    items=lambda subject: subject.asked.weighed.waste.paths if subject.asked.weighed else (),
    empty=_wasted_empty,
    note=_wasted_lines,
    path=lambda one: None if one.is_directory else one.path,
    steady=True,
)


@dataclass(frozen=True, slots=True)
class Written:
    """A path or a directory that was written to since the first walk."""

    path: str
    what: str
    written_bytes: int
    size_bytes: int | None
    directory: bool


def _written(subject: Subject) -> list[Written]:
    grown = subject.asked.growth
    if grown is None:
        return []
    directories = [
        Written(one.path, f"{units.count(one.files)} below", one.written_bytes, None, True)  # noqa: FBT003 - a row
        for one in grown.directories
    ]
    paths = [
        Written(one.path, one.what, one.written_bytes, one.size_bytes, one.is_directory)
        for one in grown.paths
    ]
    return [*paths, *directories]


def _written_empty(asked: Asked) -> str:
    return asked.problems.get("writes") or (
        "looking at what is written: the second walk tells"
        if asked.growth is None
        else "nothing was written since this list was opened"
    )


def _written_lines(one: Written, subject: Subject) -> list[Line]:
    grown = subject.asked.growth
    if grown is None:
        return []
    since = units.long_duration(grown.seconds)
    rate = grown.bytes_per_second
    word = "shrank" if grown.grown_bytes < 0 else "grew"
    upper = f"{word} by {units.size(abs(grown.grown_bytes))}" + (
        f", {units.size(abs(rate))}/s" if rate is not None else ""
    )
    least = "" if grown.complete else ", at least: it was not walked to its end"
    return [
        ((f" {one.path}  ", "bold"), (one.what, "plain")),
        pair("written", f"at least {units.count(one.written_bytes)} bytes in {since}"),
        pair("upper", f"{units.size(grown.size_bytes)} now; {upper}{least}"),
        pair(
            "since then",
            f"{grown.new} new, {grown.grew} grew, {grown.rewritten} rewritten, "
            f"{grown.shrank} shrank, {grown.gone} gone",
        ),
    ]


WRITES: Final = View[Written](
    key="writes",
    title="Writes",
    help="what is written most since the list was opened",
    columns=(
        Shown(
            column=_sized("written_bytes", "WRITTEN", lambda one: one.written_bytes),
            priority=0,
        ),
        Shown(column=Column[Written]("what", "WHAT", lambda one: one.what, width=10), priority=1),
        Shown(
            column=_sized("size_bytes", "SIZE", lambda one: one.size_bytes),
            priority=2,
        ),
        Shown(
            column=Column[Written](
                "path", "PATH", lambda one: one.path + ("/" if one.directory else ""), width=16
            ),
            paint=lambda one, _: (
                (one.path.rstrip("/") + ("/" if one.directory else ""), "bold")
                if one.directory
                else (one.path, "plain"),
            ),
            priority=0,
            grow=1,
        ),
    ),
    identify=lambda one: f"{one.directory} {one.path}",
    items=_written,
    empty=_written_empty,
    note=_written_lines,
    path=lambda one: None if one.directory or one.what == "gone" else one.path,
    steady=True,
)


def _holders(one: DeletedFile) -> str:
    told = [f"{each.pid} (fd {each.fd})" for each in one.holders[:_HOLDERS]]
    more = len(one.holders) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _deleted_empty(asked: Asked) -> str:
    return asked.problems.get("deleted") or (
        "asking its processes…" if asked.deleted is None else "no deleted file is open"
    )


def _deleted_lines(one: DeletedFile, subject: Subject) -> list[Line]:
    names: list[str] = []
    for holder in one.holders:
        process = subject.moment.process_by_pid.get(holder.pid)
        if process is not None and process.comm not in names:
            names.append(process.comm)
    kind = "in memory (memfd or shared memory)" if one.kind == "memory" else "on the disk"
    return [
        ((f" {one.path}  ", "bold"), (f"deleted, and open: it takes room {kind}", "plain")),
        pair("takes", f"{units.count(one.disk_bytes)} bytes until the last one closes it"),
        pair("open in", f"{_holders(one)}  {', '.join(names[:_HOLDERS])}"),
    ]


DELETED: Final = View[DeletedFile](
    key="deleted",
    title="Deleted",
    help="files that are deleted and still open",
    columns=(
        Shown(
            column=_sized("disk_bytes", "TAKES", lambda one: one.disk_bytes),
            priority=0,
        ),
        Shown(
            column=Column[DeletedFile]("path", "PATH", lambda one: one.path, width=16),
            priority=0,
            grow=2,
        ),
        Shown(
            column=Column[DeletedFile]("holders", "OPEN IN", _holders, width=16),
            priority=1,
            grow=1,
        ),
    ),
    identify=lambda one: f"{one.path} {one.holders[0] if one.holders else ''}",
    items=lambda subject: subject.asked.deleted or (),
    empty=_deleted_empty,
    note=_deleted_lines,
    path=lambda _: None,
    steady=True,
)
