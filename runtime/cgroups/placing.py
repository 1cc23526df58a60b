"""What few containers ask of their cgroups: to own them, and to have a process further below."""

import contextlib
import os
from collections.abc import Mapping

from runtime.cgroups.hierarchy import read
from runtime.cgroups.manager import Manager
from runtime.errors import FailedPrecondition, InvalidArgument, NotFound


def give(cgroup: Manager, uid: int) -> None:
    """Let a user make cgroups below, and move processes between them; v2 alone can be given.

    What is given is what the kernel names (cgroup-v2.rst, "Delegation").
    """
    if not cgroup.unified():
        return
    try:
        files = read("/sys/kernel/cgroup/delegate").decode().split()
    except FileNotFoundError:  # before Linux 4.15
        files = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"]
    for directory in cgroup.directories().values():
        os.chown(directory, uid, -1)
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # of a controller that is not enabled
                os.chown(f"{directory}/{file}", uid, -1)


def below(cgroup: Manager, places: Mapping[str, str]) -> dict[str, str]:
    """Return paths below a container's cgroup, by the hierarchy's name, as `Manager.inside` has it.

    `places` are by controller, with "" for the others. Raises `InvalidArgument` for a path that
    leads out, `NotFound`, and `FailedPrecondition` for a v2 cgroup that takes no processes.
    """
    directories = cgroup.directories()
    if not directories:
        raise FailedPrecondition("--cgroup: the container has no cgroups")
    found = {name: places.get("", "") for name in directories}
    for controller in filter(None, places):
        directory = cgroup.directory(controller)
        if directory is None:
            raise NotFound(f"--cgroup: there is no controller {controller!r} here")
        name = next(name for name, each in directories.items() if each == directory)
        found[name] = places[controller]
    return {name: _checked(directories[name], path) for name, path in found.items()}


def _checked(directory: str, path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if {".", ".."} & set(parts):
        raise InvalidArgument(f"--cgroup: {path!r} leads out of the container's cgroup")
    clean = "".join(f"/{part}" for part in parts)
    if clean and not os.path.isdir(directory + clean):
        raise NotFound(f"--cgroup: {directory}{clean}: there is no such cgroup")
    control = f"{directory}{clean}/cgroup.subtree_control"
    if clean and os.path.exists(control) and read(control).strip():
        raise FailedPrecondition(f"--cgroup: {directory}{clean} is divided: processes go below it")
    return clean
