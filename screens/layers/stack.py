"""The stack of an overlay mount as rows, from what the container sees down to the lowest layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.containers.model import Container
from inspector.domains.layers.model import Change, ChangeKind, Changes, Layer, Rootfs
from screens.layers.asked import Asked
from screens.moment import Moment
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone
from screens.widgets.table_columns import Shown

_ROLES: Final = {
    "merged": "what the container sees: the layers below as one",
    "upper": "its own writable layer: every change lands here",
    "lower": "read-only: seen through where nothing above hides it",
    "work": "where the kernel prepares copies before they show in upper",
}
_SAMPLES: Final = 240
_SPARK: Final = 16
MARKS: Final[dict[ChangeKind, str]] = {
    "added": "+",
    "modified": "~",
    "copied_up": "↑",
    "deleted": "-",
    "opaque": "▒",
    "redirected": "→",
    "metacopy": "m",
}
_MEANINGS: Final[dict[ChangeKind, str]] = {
    "added": "new: no layer below has it",
    "modified": "changed: it hides the one of the layer below",
    "copied_up": "copied up whole from the layer below, because it was opened for writing",
    "deleted": "whiteout: a device file 0/0 in upper hides the one below; its bytes are still in the image",
    "opaque": "opaque directory: nothing of the layers below it shows through",
    "redirected": "a directory that was renamed: upper says where its contents are below",
    "metacopy": "only owner, mode or times were copied up; the data is still read from below",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRow:
    """One directory of the stack."""

    key: str
    layer: Layer
    edge: str
    """What draws the box around upper and the lower ones."""
    size: int | None
    share: float
    """Its size over the largest one's."""
    said: str


def rows(rootfs: Rootfs, asked: Asked, moment: Moment) -> list[StackRow]:
    """Return the stack from the top; sizes of a weighing, or a walk, where there was one."""
    known = dict(asked.weighed.sizes) if asked.weighed else {}
    if asked.report is not None:
        known |= asked.report.sizes
    sizes: dict[str, int | None] = {}
    for layer in rootfs.layers:
        # The upper one is counted again and again: what was asked once is older.
        live = layer.size_bytes if layer.role == "upper" else None
        sizes[layer.path] = known.get(layer.path, layer.size_bytes) if live is None else live
    largest = max((size for size in sizes.values() if size), default=1)
    framed = [layer for layer in _ordered(rootfs.layers) if layer.role in {"upper", "lower"}]
    found: list[StackRow] = []
    for place, layer in enumerate(_ordered(rootfs.layers)):
        edge = " "
        if layer in framed:
            at = framed.index(layer)
            edge = "┌" if at == 0 else "└" if at == len(framed) - 1 else "├"
        size = sizes.get(layer.path)
        found.append(
            StackRow(
                key=f"{place} {layer.role} {layer.path}",
                layer=layer,
                edge=edge,
                size=size,
                share=(size or 0) / largest,
                said=_said(layer, rootfs.changes, moment),
            )
        )
    return found


def _ordered(layers: Sequence[Layer]) -> list[Layer]:
    order = {"merged": 0, "upper": 1, "lower": 2, "work": 3}
    return sorted(layers, key=lambda layer: (order[layer.role], layer.index or 0))


def label(layer: Layer) -> str:
    """Return a layer's short name: `upper`, `lower 2`."""
    return layer.role if layer.index is None else f"{layer.role} {layer.index}"


def _said(layer: Layer, changes: Changes | None, moment: Moment) -> str:
    if layer.role == "upper" and changes is not None:
        return counted(changes)
    if layer.role == "lower":
        words = [(layer.digest or layer.path.rsplit("/", 2)[-2] or layer.path)[:19]]
        if layer.shared_by:
            names = [moment.container_name(one) or one for one in layer.shared_by]
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            words.append(f"shared with {', '.join(names[:2])}{more}")
        return "  ".join(words)
    return {"merged": "what the container sees", "work": "where copy-ups are prepared"}.get(
        layer.role, "writable"
    )


def counted(changes: Changes) -> str:
    """Return `+12 ~4 -2  4.1M  grows 78K/s`."""
    words = f"+{changes.added} ~{changes.modified + changes.copied_up} -{changes.deleted}"
    if changes.opaque:
        words += f" ▒{changes.opaque}"
    if not changes.complete:
        words += " at least"
    growth = changes.growth_bytes_per_second
    if growth:
        words += f"  grows {units.rate(growth)}/s"
    return words


def waste_line(container: Container | None, asked: Asked, moment: Moment) -> Line:
    """Return how large the upper layer is and was, and how much of all layers nobody can see."""
    if container is None:
        return cells.BLANK
    pieces: list[Piece] = []
    changes = container.rootfs.changes if container.rootfs else None
    track = moment.history.container(container)
    if changes is not None:
        past = track.last("upper_bytes", _SAMPLES) if track else ()
        pieces.append((f" upper {units.size(changes.size_bytes)} ", "plain"))
        pieces.append((_growth_spark(past), "accent"))
    waste = asked.weighed.waste if asked.weighed else None
    if waste is not None and waste.efficiency is not None:
        bound = "" if waste.complete else "so far " if waste.walked_ratio < 1 else "at least "
        pieces.append((f"   efficiency {_efficiency(waste.efficiency)}", "bold"))
        reasons = [f"{units.size(size)} {why}" for why, size in waste.by_reason.items() if size]
        if waste.same_bytes:
            reasons.append(f"{units.size(waste.same_bytes)} copied up and never changed")
        hidden = f", {bound}{units.size(waste.hidden_bytes)} wasted"
        pieces.append((f": {units.size(waste.visible_bytes)} visible{hidden}", "plain"))
        pieces.append((f" ({', '.join(reasons)})" if reasons else "", "dim"))
    elif container.rootfs is not None and container.rootfs.driver == "overlay":
        pieces.append(("   S weighs all layers: efficiency, what is wasted", "dim"))
    return tuple(pieces)


def _efficiency(ratio: float) -> str:
    """Return a share with a tenth of a per cent; what is wasted is never rounded away."""
    return "> 99.9 %" if 0.9995 <= ratio < 1 else f"{ratio * 100:.1f} %"


def _growth_spark(past: Sequence[float | None]) -> str:
    """Return the size over the last minutes, from the smallest one up: what it grew by is what is told."""
    known = [value for value in past if value is not None]
    if len(known) < 2:
        return ""
    begin = next(place for place, value in enumerate(past) if value is not None)
    least, most = min(known), max(known)
    return cells.spark(
        [
            None if value is None else value - least
            for value in cells.bucket(past[begin:], min(_SPARK, len(past) - begin))
        ],
        top=max(1.0, most - least),
    )


def stack_columns() -> tuple[Shown[StackRow], ...]:
    """Return the columns of the stack."""

    def name(row: StackRow, _width: int) -> Line:
        tone: Tone = "bold" if row.layer.role in {"merged", "upper"} else "plain"
        return ((f"{row.edge} ", "dim"), (label(row.layer), tone))

    def said(row: StackRow, _width: int) -> Line:
        return ((row.said, "plain" if row.layer.role == "upper" else "dim"),)

    def size(row: StackRow, _width: int) -> Line:
        if row.layer.role in {"merged", "work"}:
            return cells.BLANK
        return ((units.size(row.size), "plain"),) if row.size is not None else (("?", "dim"),)

    def bar(row: StackRow, width: int) -> Line:
        if row.size is None or row.layer.role in {"merged", "work"}:
            return cells.BLANK
        return (("█" * max(1, round(row.share * width)), "accent"),)

    return (
        Shown(column=_column("layer", "LAYER", 10), paint=name, priority=0, sortable=False),
        Shown(column=_column("what", "WHAT", 22), paint=said, priority=0, sortable=False, grow=4),
        Shown(
            column=_column("size", "SIZE", 6, right=True), paint=size, priority=1, sortable=False
        ),
        Shown(column=_column("bar", "", 6), paint=bar, priority=2, sortable=False, grow=1, most=20),
    )


def _column(name: str, title: str, width: int, *, right: bool = False) -> Column[StackRow]:
    return Column(name, title, lambda _: None, width=width, align="right" if right else "left")


def layer_lines(row: StackRow, container: Container, moment: Moment) -> list[Line]:
    """Return what is known of one layer, and what its role means."""
    layer = row.layer
    lines: list[Line] = [
        ((f" {label(layer)}  ", "bold"), (_ROLES[layer.role], "plain")),
        pair("path", layer.path),
    ]
    if layer.digest:
        lines.append(pair("digest", layer.digest))
    if layer.shared_by:
        names = ", ".join(moment.container_name(one) or one for one in layer.shared_by)
        lines.append(pair("shared with", f"{names}: on the disk once"))
    changes = container.rootfs.changes if container.rootfs else None
    if layer.role == "upper" and changes is not None:
        lines.append(pair("holds", f"{counted(changes)}  {units.size(changes.size_bytes)}"))
    return lines


def change_lines(change: Change) -> list[Line]:
    """Return what a change is, in words."""
    where = f"lower {change.layer}" if change.layer is not None else "no layer below"
    return [
        ((f" {MARKS[change.kind]} ", "accent"), (change.path, "bold")),
        ((f"   {_meaning(change)}", "plain"),),
        pair("before", where),
        pair("size", f"{units.count(change.size_bytes)} bytes"),
    ]


def _meaning(change: Change) -> str:
    if change.is_directory and change.kind in {"modified", "copied_up"}:
        return "a directory that upper has as well: its entries are merged with those of the layers below"
    return _MEANINGS[change.kind]


def pair(name: str, value: str) -> Line:
    """Return a fact below a head: its name, its value."""
    pieces: tuple[Piece, ...] = ((f"   {name:<12}", "dim"), (value, "plain"))
    return pieces
