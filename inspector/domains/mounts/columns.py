"""Columns of mounts."""

from typing import Final

from inspector.columns import Column
from inspector.domains.mounts.model import Mount

MOUNTPOINT: Final = Column[Mount]("mountpoint", "MOUNTPOINT", lambda m: m.mountpoint, width=30)
FSTYPE: Final = Column[Mount]("fstype", "TYPE", lambda m: m.fstype, width=10)
SOURCE: Final = Column[Mount]("source", "SOURCE", lambda m: m.source, width=20)
ROOT: Final = Column[Mount]("root", "ROOT", lambda m: m.root, width=20)
OPTIONS: Final = Column[Mount]("options", "OPTIONS", lambda m: ",".join(m.options), width=24)
PROPAGATION: Final = Column[Mount](
    "propagation", "PROPAGATION", lambda m: " ".join(m.propagation) or "private", width=12
)
KIND: Final = Column[Mount]("kind", "KIND", lambda m: m.kind, width=7)
HOST_PATH: Final = Column[Mount]("host_path", "ON THE HOST", lambda m: m.host_path, width=30)
CONTAINER: Final = Column[Mount]("container", "CONTAINER", lambda m: m.container, width=14)

COLUMNS: Final[tuple[Column[Mount], ...]] = (
    MOUNTPOINT,
    FSTYPE,
    SOURCE,
    ROOT,
    OPTIONS,
    PROPAGATION,
    KIND,
    HOST_PATH,
    CONTAINER,
)
