"""Columns of the paths that a container's upper layer changed."""

from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.layers.model import Change


def _when(change: Change) -> str:
    moment = change.modified_at
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else ""


PATH: Final = Column[Change]("path", "PATH", lambda c: c.path, width=40)
KIND: Final = Column[Change](
    "kind", "CHANGE", lambda c: c.kind, lambda c: c.kind.replace("_", " "), width=10
)
LAYER: Final = Column[Change](
    "layer",
    "LAYER",
    lambda c: c.layer,
    width=5,
    align="right",
    help="the lower layer that had it before",
)
SIZE: Final = Column[Change](
    "size_bytes",
    "SIZE",
    lambda c: c.size_bytes,
    lambda c: units.size(c.size_bytes),
    unit="bytes",
    width=6,
    align="right",
)
MODIFIED: Final = Column[Change](
    "modified_at",
    "MODIFIED",
    lambda c: c.modified_at.timestamp() if c.modified_at else None,
    _when,
    unit="seconds",
    width=19,
)

COLUMNS: Final[tuple[Column[Change], ...]] = (PATH, KIND, LAYER, SIZE, MODIFIED)
