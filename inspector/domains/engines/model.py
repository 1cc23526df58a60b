"""Engines, as the dump shows them."""

from msgspec import Struct


class Engine(Struct, frozen=True, kw_only=True):
    """One engine that was looked for; `reachable` false with no `error` means it is not there."""

    name: str
    version: str | None
    address: str | None
    reachable: bool
    error: str | None
    containers: int
