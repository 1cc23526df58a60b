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
    from runtime.cgroups.resctrl import Group
    from runtime.shim.bundle import Json


def made(cgroup: Manager, spec: Json) -> Manager:
    """Make the cgroups and return them; a user who may make none, and needs none, goes without.

    With them the class of service is made that `linux.intelRdt` asks for. Raises `PermissionDenied` for
    a limit that then cannot be kept.
    """
    wanted = bundle.section(spec, "linux").get("intelRdt")
    if wanted is None:
        return _made(cgroup, spec)
    group = _planned(wanted, cgroup.name)  # which refuses before anything is made
    found = _made(cgroup, spec)
    group.create(wanted)
    _enter(found, group)
    return found


def _planned(wanted: Json, container_id: str) -> Group:
    from runtime.cgroups import resctrl  # noqa: PLC0415 - few containers need it

    return resctrl.plan(wanted, container_id)


def _enter(cgroup: Manager, group: Group) -> None:
    cgroup.entries, cgroup.service_class = group.entries(), group


def _made(cgroup: Manager, spec: Json) -> Manager:
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
        return _nothing(cgroup.name)
    return cgroup


def cgroups(spec: Json, container_id: str, state: bundle.State) -> Manager:
    """Return the container's cgroups, where its state has them; at an empty path none could be made.

    Raises `Unavailable` where systemd cannot be asked.
    """
    if state.cgroup == "":
        return _nothing(container_id)
    found = _place(spec, container_id, state.cgroup)
    found.name = container_id
    if state.service_class:
        from runtime.cgroups import resctrl  # noqa: PLC0415 - few containers need it

        _enter(found, resctrl.Group(*state.service_class))
    return found


def _nothing(container_id: str) -> Manager:
    from runtime.cgroups.nothing import NoManager  # noqa: PLC0415 - few users get here

    found = NoManager()
    found.name = container_id
    return found


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
