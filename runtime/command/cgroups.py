"""The one place where it is chosen who makes a container's cgroups: this program, or systemd."""

import os

from runtime.cgroups.hierarchy import read
from runtime.cgroups.manager import Manager
from runtime.errors import FailedPrecondition, Unimplemented
from runtime.formats.spec import Spec, section


def choose(spec: Spec, container_id: str, *, systemd: bool) -> Manager:
    """Return the cgroups that a new container gets.

    A path that is not absolute is taken from the root all the same, as other runtimes do. Raises
    `FailedPrecondition` if processes of somebody else are in it, or if it is frozen.
    """
    if systemd:
        raise Unimplemented("--systemd-cgroup: is not supported; cgroups are made without systemd")
    wanted = section(spec, "linux").get("cgroupsPath") or f"/cinspect-oci/{container_id}"
    chosen = manager(os.path.normpath("/" + str(wanted)).replace("//", "/"))
    for directory in chosen.directories().values():
        try:
            inhabited = read(f"{directory}/cgroup.procs").strip()
        except OSError:  # not there yet, or none that can have processes
            continue
        if inhabited:
            raise FailedPrecondition(f"linux.cgroupsPath: {directory} has processes in it")
    if chosen.exists() and chosen.frozen():
        raise FailedPrecondition(f"linux.cgroupsPath: {chosen.path} is frozen")
    return chosen


def manager(path: str) -> Manager:
    """Return the cgroups of a container that was made."""
    return Manager(path)
