"""Which cgroups a container of a shim has, and who makes them."""

from __future__ import annotations

from runtime.cgroups import limits
from runtime.cgroups.manager import Manager
from runtime.errors import PermissionDenied
from runtime.formats import cgroups_path
from runtime.linux import idmap
from runtime.shim import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.bundle import Json


def made(cgroup: Manager, spec: Json) -> Manager:
    """Make the cgroups and return them; a user who may make none, and needs none, goes without.

    Raises `PermissionDenied` for a limit that then cannot be kept.
    """
    resources = bundle.section(bundle.section(spec, "linux"), "resources")
    try:
        cgroup.create(resources)
    except PermissionDenied as error:
        if not idmap.nested():
            raise
        for _, key in limits.needed(resources):
            raise PermissionDenied(
                f"linux.resources.{key}: this user may make no cgroup to limit it: {error}"
            ) from error
        return cgroups(spec, cgroup.name, made_at="")
    return cgroup


def cgroups(spec: Json, container_id: str, *, made_at: str | None = None) -> Manager:
    """Return the container's cgroups; at an empty path none could be made.

    Raises `Unavailable` where systemd cannot be asked.
    """
    found = _nothing() if made_at == "" else _place(spec, container_id, made_at)
    found.name = container_id
    return found


def _nothing() -> Manager:
    from runtime.cgroups.nothing import NoManager  # noqa: PLC0415 - few users get here

    return NoManager()


def _place(spec: Json, container_id: str, made_at: str | None) -> Manager:
    """Return the container's cgroups, made or not; systemd is asked where its are to be.

    Raises `Unavailable` where systemd cannot be asked.
    """
    path = str(bundle.section(spec, "linux").get("cgroupsPath") or cgroups_path.own(container_id))
    if not cgroups_path.by_systemd(path):
        return Manager(made_at or path)
    # Only whoever asks for it loads what talks to systemd.
    from runtime.cgroups.systemd import units  # noqa: PLC0415 - few need it
    from runtime.cgroups.systemd.driver import SystemdManager  # noqa: PLC0415 - few need it

    unit = units.parse(path, container_id, default_slice=cgroups_path.SLICE)
    # A unit's properties may come from a pod's author here: annotations name none.
    return SystemdManager.planned(unit, user=False, annotations={})
