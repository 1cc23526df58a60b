"""Columns of namespaces."""

from typing import Final

from inspector.columns import Column
from inspector.domains.namespaces.model import Namespace

TYPE: Final = Column[Namespace]("type", "TYPE", lambda n: n.type, width=6)
INODE: Final = Column[Namespace]("inode", "INODE", lambda n: n.inode, width=10, align="right")
PROCESSES: Final = Column[Namespace](
    "processes", "PROCS", lambda n: n.processes, width=5, align="right"
)
CONTAINERS: Final = Column[Namespace](
    "containers", "CONTAINERS", lambda n: ", ".join(n.containers) or None, width=20
)
PARENT: Final = Column[Namespace]("parent", "PARENT", lambda n: n.parent, width=10, align="right")
OWNER: Final = Column[Namespace](
    "owner_user_ns",
    "OWNER",
    lambda n: n.owner_user_ns,
    width=10,
    align="right",
    help="the user namespace whose root may change it",
)
PINNED: Final = Column[Namespace](
    "pinned_by",
    "HELD BY",
    lambda n: ", ".join(n.pinned_by) or None,
    width=30,
    help="what keeps it where no process is in it",
)

COLUMNS: Final[tuple[Column[Namespace], ...]] = (
    TYPE,
    INODE,
    PROCESSES,
    CONTAINERS,
    PARENT,
    OWNER,
    PINNED,
)
