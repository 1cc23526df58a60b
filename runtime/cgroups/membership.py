"""The cgroups that any process is in, whoever made them."""

import os

from runtime.cgroups.freezer import FirstFreezer, SecondFreezer
from runtime.cgroups.hierarchy import Hierarchy, discover, own_paths, read
from runtime.cgroups.join import Join
from runtime.errors import FailedPrecondition, NotFound


def of(pid: int) -> tuple[tuple[Hierarchy, str], ...]:
    """Return each hierarchy with the directory of the process's cgroup there.

    Raises `FailedPrecondition` for a cgroup that cannot be seen from here, `NotFound` for a process
    that is gone.
    """
    try:
        paths = own_paths(read(f"/proc/{pid}/cgroup"))
    except (FileNotFoundError, ProcessLookupError):
        raise NotFound(f"process {pid} is gone") from None
    found: list[tuple[Hierarchy, str]] = []
    for hierarchy in discover():
        names = {"", hierarchy.name, f"name={hierarchy.name}", ",".join(hierarchy.controllers)}
        names -= {""} if hierarchy.version == 1 else names - {""}
        path = next((paths[name] for name in names if name in paths), None)
        if path is None:
            continue
        directory = hierarchy.mountpoint + path.rstrip("/")
        if "/.." in path or not os.path.isdir(directory):
            raise FailedPrecondition(f"the cgroup {path} of process {pid} cannot be seen from here")
        found.append((hierarchy, directory))
    return tuple(found)


def frozen(pid: int) -> bool:
    """Tell whether a process is in a frozen cgroup: whoever joins it stops too."""
    return any(
        SecondFreezer(directory).frozen()
        if hierarchy.version == 2
        else "freezer" in hierarchy.controllers and FirstFreezer(directory).frozen()
        for hierarchy, directory in of(pid)
        if hierarchy.version == 1 or os.path.exists(f"{directory}/cgroup.freeze")
    )


def join(pid: int) -> Join:
    """Return the way into a process's cgroups; the caller closes it."""
    tasks: list[int] = []
    into: int | None = None
    try:
        for hierarchy, directory in of(pid):
            if hierarchy.version == 2:
                into = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            else:
                tasks.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
    except BaseException:
        Join(into, tuple(tasks)).close()
        raise
    return Join(into, tuple(tasks))
