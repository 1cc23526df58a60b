"""The one place where it is chosen who makes a container's cgroups: this program, or systemd."""

import os
from typing import TYPE_CHECKING

from runtime.cgroups.hierarchy import read
from runtime.cgroups.manager import Manager
from runtime.command import rights
from runtime.command.arguments import Request
from runtime.errors import FailedPrecondition, PermissionDenied
from runtime.formats.spec import Spec, section

if TYPE_CHECKING:
    from runtime.cgroups import resctrl
    from runtime.command.store import Record


def choose(spec: Spec, container_id: str, request: Request) -> Manager:
    """Return the cgroups that a new container gets.

    A path that is not absolute is taken from the root all the same, as other runtimes do. Raises
    `FailedPrecondition` if processes of somebody else are in it, or if it is frozen.
    """
    wanted = section(spec, "linux").get("cgroupsPath")
    if request.shared is not None and request.shared.on("systemd-cgroup"):
        chosen = _by_systemd(spec, container_id, request)
    else:
        path = wanted or f"/cinspect-oci/{container_id}"
        chosen = Manager(os.path.normpath("/" + str(path)).replace("//", "/"))
    _check_free(chosen)
    return chosen


def _by_systemd(spec: Spec, container_id: str, request: Request) -> Manager:
    # Only whoever asks for it loads what talks to systemd.
    from runtime.cgroups.systemd import units  # noqa: PLC0415 - few need it
    from runtime.cgroups.systemd.driver import SystemdManager  # noqa: PLC0415 - few need it

    user = rights.own_systemd(request)
    path = section(spec, "linux").get("cgroupsPath")
    unit = units.parse(path, container_id, default_slice="user.slice" if user else "system.slice")
    annotations = {str(key): str(text) for key, text in section(spec, "annotations").items()}
    return SystemdManager.planned(unit, user=user, annotations=annotations)


def _check_free(chosen: Manager) -> None:
    for directory in chosen.directories().values():
        try:
            inhabited = read(f"{directory}/cgroup.procs").strip()
        except OSError:  # not there yet, or none that can have processes
            continue
        if inhabited:
            raise FailedPrecondition(f"linux.cgroupsPath: {directory} has processes in it")
    if chosen.exists() and chosen.frozen():
        raise FailedPrecondition(f"linux.cgroupsPath: {chosen.path} is frozen")


def make(chosen: Manager, spec: Spec, request: Request) -> Manager:
    """Make the cgroups; return them, or `NoManager` where a user may have none and needs none.

    A user without rights gets none if the spec names no path and no limit (as other runtimes do).
    """
    linux = section(spec, "linux")
    resources = section(linux, "resources")
    try:
        chosen.create(resources)
    except PermissionDenied:
        if linux.get("cgroupsPath") or not rights.rootless(request) or chosen.limits(resources):
            raise
        from runtime.cgroups.nothing import NoManager  # noqa: PLC0415 - few are so

        return NoManager()
    if chosen.frozen():
        chosen.delete()
        raise FailedPrecondition(f"linux.cgroupsPath: {chosen.path} is below a frozen cgroup")
    return chosen


def remember(record: "Record", chosen: Manager) -> None:
    """Write down what `recorded` needs."""
    record.cgroup, record.unit, record.session = chosen.path, chosen.unit, chosen.user


def recorded(record: "Record") -> Manager:
    """Return the cgroups of a container that was made."""
    found = _recorded(record)
    group = service_class(record)
    found.entries = group.entries() if group is not None else ()
    return found


def service_class(record: "Record") -> "resctrl.Group | None":
    """Return the class of service that a container is in, if its spec has asked for one."""
    if not record.resctrl:
        return None
    from runtime.cgroups import resctrl  # noqa: PLC0415 - few need it

    return resctrl.Group(**record.resctrl)


def _recorded(record: "Record") -> Manager:
    if not record.cgroup:
        from runtime.cgroups.nothing import NoManager  # noqa: PLC0415 - few are so

        return NoManager()
    if not record.unit:
        return Manager(record.cgroup)
    from runtime.cgroups.systemd.driver import SystemdManager  # noqa: PLC0415 - few need it

    return SystemdManager(record.cgroup, record.unit, user=record.session)
