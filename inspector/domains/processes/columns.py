"""Columns of processes."""

from typing import Final

from inspector import units
from inspector.columns import Column
from inspector.domains.processes.model import Process

PID: Final = Column[Process]("pid", "PID", lambda p: p.pid, width=7, align="right")
PPID: Final = Column[Process]("ppid", "PARENT", lambda p: p.ppid, width=7, align="right")
INSIDE: Final = Column[Process](
    "inside_pid",
    "INSIDE",
    lambda p: p.namespace_pids[-1] if len(p.namespace_pids) > 1 else None,
    width=6,
    align="right",
    help="its pid in its own pid namespace",
)
UID: Final = Column[Process]("uid", "UID", lambda p: p.uid, width=6, align="right")
STATE: Final = Column[Process]("state", "STATE", lambda p: p.state, width=5)
CPU: Final = Column[Process](
    "cpu.busy_cores",
    "CPU",
    lambda p: p.busy_cores,
    lambda p: units.cores(p.busy_cores or 0.0),
    unit="cores",
    width=5,
    align="right",
)
MEMORY: Final = Column[Process](
    "rss_bytes",
    "MEMORY",
    lambda p: p.rss_bytes,
    lambda p: units.size(p.rss_bytes),
    unit="bytes",
    width=6,
    align="right",
)
THREADS: Final = Column[Process]("threads", "THREADS", lambda p: p.threads, width=7, align="right")
CONTAINER: Final = Column[Process]("container", "CONTAINER", lambda p: p.container, width=14)
COMMAND: Final = Column[Process](
    "command", "COMMAND", lambda p: " ".join(p.command) or f"[{p.comm}]", width=30
)

COLUMNS: Final[tuple[Column[Process], ...]] = (
    PID,
    PPID,
    INSIDE,
    UID,
    STATE,
    CPU,
    MEMORY,
    THREADS,
    CONTAINER,
    COMMAND,
)
