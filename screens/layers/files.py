"""The files of all layers as one tree: which layer supplies each, what it hides, what is deleted."""

from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.layers.model import PathReport, PathVersion
from screens.layers.asked import Asked, Subject, View
from screens.widgets import cells
from screens.widgets.cells import Line, Piece, Tone
from screens.widgets.table_columns import Shown
from screens.widgets.trees import Branch, flatten

ROOT: Final = "/"
Node = Branch[PathReport]


def is_directory(entry: PathReport) -> bool:
    """Return whether the container finds a directory there."""
    return entry.supplied_by is not None and entry.versions[0].kind == "directory"


def nodes(subject: Subject) -> list[Node]:
    """Return the tree as far as it was opened."""
    asked = subject.asked
    entries = [
        entry
        for directory, entries in asked.listings.items()
        if _reached(directory, asked.opened)
        for entry in entries
    ]
    return flatten(entries, lambda entry: entry.path, lambda entry: _above(entry.path))


def _reached(directory: str, opened: set[str]) -> bool:
    """Return whether a directory and all those above it are open."""
    while directory != ROOT:
        if directory not in opened:
            return False
        directory = _above(directory)
    return True


def _above(path: str) -> str:
    return path.rpartition("/")[0] or ROOT


def _top(node: Node) -> PathVersion:
    return node.item.versions[0]


def _hides(entry: PathReport) -> str:
    """Return the layers whose version of a path cannot be seen: `lower 1, 3`."""
    return ", ".join(
        one.layer.removeprefix("lower ") for one in entry.versions if one.hidden_by is not None
    )


_NAME: Final = Column[Node]("path", "PATH", lambda node: node.item.path, width=24)
_FROM: Final = Column[Node](
    "layer",
    "FROM",
    lambda node: node.item.supplied_by or "deleted",
    width=8,
    help="the layer that supplies it",
)
_HIDES: Final = Column[Node](
    "hides",
    "HIDES",
    lambda node: _hides(node.item),
    width=6,
    help="lower layers whose version is hidden",
)
_SIZE: Final = Column[Node](
    "size_bytes",
    "SIZE",
    lambda node: _top(node).size_bytes if _top(node).kind == "file" else None,
    lambda node: units.size(_top(node).size_bytes),
    unit="bytes",
    width=6,
    align="right",
)
_MODE: Final = Column[Node]("mode", "MODE", lambda node: _top(node).mode, width=10)
_MODIFIED: Final = Column[Node](
    "modified_at",
    "MODIFIED",
    lambda node: _top(node).modified_at.timestamp(),
    lambda node: f"{_top(node).modified_at:%Y-%m-%d %H:%M}",
    unit="seconds",
    width=16,
)


def _columns() -> tuple[Shown[Node], ...]:
    def size(node: Node, _width: int) -> Line:
        return cells.plain(_SIZE.text(node)) if _top(node).kind == "file" else cells.BLANK

    def layer(node: Node, _width: int) -> Line:
        tone: Tone = "plain" if node.item.supplied_by == "upper" else "dim"
        return ((_FROM.text(node), tone),)

    return (
        Shown(column=_NAME, priority=0, grow=4, sortable=False, paint=_name),
        Shown(column=_FROM, priority=0, sortable=False, paint=layer),
        Shown(column=_HIDES, priority=2, sortable=False, grow=1, most=20),
        Shown(column=_SIZE, priority=1, sortable=False, paint=size),
        Shown(column=_MODE, priority=3, sortable=False),
        Shown(column=_MODIFIED, priority=4, sortable=False),
    )


def _name(node: Node, _width: int) -> Line:
    entry, top = node.item, _top(node)
    name = entry.path.rpartition("/")[2]
    if entry.supplied_by is None:
        return ((node.prefix, "dim"), ("▒ ", "accent"), (name, "dim"))
    if top.kind == "directory":
        mark: Piece = ("▾ " if node.children else "▸ ", "dim")
        return ((node.prefix, "dim"), mark, (f"{name}/", "bold"))
    link = f" → {top.target}" if top.target is not None else ""
    return ((node.prefix, "dim"), (name, "plain"), (link, "dim"))


def path_lines(entry: PathReport) -> list[Line]:
    """Return every layer's version of a path in words, the one that is seen first."""
    where = f"supplied by {entry.supplied_by}" if entry.supplied_by else "deleted: nothing is seen"
    head: list[Piece] = [(f" {entry.path}  ", "bold"), (where, "plain")]
    if entry.copied_up_at is not None:
        head.append((f", copied up {entry.copied_up_at:%Y-%m-%d %H:%M:%S} UTC", "plain"))
    return [tuple(head), *(_version(one) for one in entry.versions)]


def _version(one: PathVersion) -> Line:
    facts = f"{one.mode} {one.uid}:{one.gid} {units.size(one.size_bytes):>6}"
    when = f"  {one.modified_at:%Y-%m-%d %H:%M}  "
    return (
        (f"   {one.layer:<9} ", "accent" if one.supplies else "dim"),
        (facts, "plain"),
        (when, "dim"),
        (_state(one), "plain" if one.supplies else "dim"),
    )


def _state(one: PathVersion) -> str:
    if one.kind == "whiteout":
        words = "whiteout: it hides what the layers below have"
    elif one.supplies:
        words = "seen"
    elif one.merged:
        words = "merged with the one above"
    else:
        words = f"hidden: {one.why} by {one.hidden_by}"
    if one.opaque:
        words += ", opaque: nothing of the layers below shows through"
    if one.metacopy:
        words += ", metadata alone: the contents are below"
    return f"{words}, is {one.redirect} below" if one.redirect else words


def _empty(asked: Asked) -> str:
    if asked.problems.get("files"):
        return asked.problems["files"]
    return "nothing is in it, or the filter fits nothing" if asked.listings else "reading /…"


FILES: Final = View[Node](
    key="files",
    title="Files",
    help="all layers as one tree: which layer supplies each file",
    columns=_columns(),
    identify=lambda node: node.key,
    items=nodes,
    empty=_empty,
    note=lambda node, _: path_lines(node.item),
    path=lambda node: node.item.path,
    steady=True,
)
