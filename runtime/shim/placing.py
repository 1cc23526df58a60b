"""Which cgroups a container of a shim has, and who makes them."""

from __future__ import annotations

import os

from runtime.cgroups.manager import Manager
from runtime.formats import cgroups_path
from runtime.shim import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.bundle import Json


def cgroups(spec: Json, container_id: str) -> Manager:
    """Return the container's cgroups, made or not; systemd is asked where its are to be.

    Raises `Unavailable` where systemd cannot be asked.
    """
    path = str(bundle.section(spec, "linux").get("cgroupsPath") or cgroups_path.own(container_id))
    if not cgroups_path.by_systemd(path):
        return Manager(path)
    # Only whoever asks for it loads what talks to systemd.
    from runtime.cgroups.systemd import units  # noqa: PLC0415 - few need it
    from runtime.cgroups.systemd.driver import SystemdManager  # noqa: PLC0415 - few need it

    user = os.geteuid() != 0
    unit = units.parse(path, container_id, default_slice=cgroups_path.default_slice(user=user))
    # A unit's properties may come from a pod's author here: annotations name none.
    return SystemdManager.planned(unit, user=user, annotations={})
