"""Events, as the dump and the event stream show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """One event; topics of shims and of this engine are containerd's."""

    timestamp: datetime
    source: str
    """`cinspect`, `shim 1234`, `docker`, `kernel`…"""
    topic: str
    engine_namespace: str | None
    container: str | None
    event: Mapping[str, Any]
