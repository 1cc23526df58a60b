"""Containers of the embedded engine as JSON, the keys as `cinspect dump` has them."""

from datetime import UTC, datetime
from typing import Any

from runtime.types import Container


def container(found: Container) -> dict[str, Any]:
    """Return one container."""
    return {
        "id": found.id,
        "name": found.name,
        "engine": "cinspect",
        "engine_namespace": found.namespace,
        "image": found.image,
        "rootfs": found.rootfs,
        "labels": dict(found.labels),
        "command": list(found.command),
        "status": found.status,
        "pid": found.pid,
        "created_at": moment(found.created_at),
        "started_at": moment(found.started_at),
        "finished_at": moment(found.finished_at),
        "exit_code": found.exit_code,
        "error": found.error,
        "runtime": found.runtime,
        "shim": None
        if found.shim is None
        else {
            "pid": found.shim.pid,
            "address": found.shim.address,
            "version": found.shim.version,
        },
        "bundle": found.bundle,
        "log_path": found.log_path,
        "cgroup": found.cgroup,
        "layers": {
            "lower": list(found.lowerdirs),
            "upper": found.upperdir,
            "work": found.workdir,
        },
    }


def moment(value: datetime | None) -> str | None:
    """Return RFC 3339 in UTC, with a Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
