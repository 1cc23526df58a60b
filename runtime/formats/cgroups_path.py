"""The forms of `linux.cgroupsPath` (OCI runtime spec): its form says who makes a container's cgroups."""

from __future__ import annotations

PREFIX = "cinspect"
"""Our own engine's: its cgroups are `/cinspect/ID`, its scopes `cinspect-ID.scope`."""
SLICE = "system.slice"
"""Where containers are when nobody says in which slice."""


def own(container_id: str) -> str:
    """Return the path that the engine's containers have below each hierarchy's root."""
    return f"/{PREFIX}/{container_id}"


def scope(container_id: str) -> str:
    """Return the form that has systemd make a scope."""
    return f"{SLICE}:{PREFIX}:{container_id}"


def by_systemd(path: str) -> bool:
    """Tell whether a path is `slice:prefix:name`, as engines write it for systemd."""
    return not path.startswith("/") and path.count(":") == 2
