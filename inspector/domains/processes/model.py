"""Processes, as the dump shows them."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct


class Process(Struct, frozen=True, kw_only=True, gc=False):
    """One process, by the host's pid."""

    pid: int
    ppid: int
    namespace_pids: tuple[int, ...]
    """NSpid: here, then in each nested pid namespace."""
    uid: int
    comm: str
    command: tuple[str, ...]
    state: str
    started_at: datetime | None
    cgroups: Mapping[str, str]
    namespaces: Mapping[str, int | None]
    container: str | None
    threads: int
    cpu_seconds: float
    busy_cores: float | None
    rss_bytes: int
