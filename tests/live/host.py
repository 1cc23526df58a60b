"""What kind of host this is: where its cgroups are, and which controllers they have."""

import os
from pathlib import Path
from typing import Final

from tests import requirements

UNIFIED: Final = Path("/sys/fs/cgroup/cgroup.controllers").exists()
"""Whether cgroup v2 alone is mounted, at the usual place."""

INSIDE: Final = os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC
"""Whether this host is a container itself: its pid namespace is not the kernel's first one."""


def controllers() -> set[str]:
    """Return the controllers that a container's cgroup can have here."""
    if UNIFIED:
        return set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    return {
        controller
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        for controller in line.split(":")[1].split(",")
        if controller and "=" not in controller and Path("/sys/fs/cgroup", controller).is_dir()
    }


def require(*wanted: str) -> None:
    """End the test where the kernel has not all of these controllers to give."""
    for controller in wanted:
        if controller not in controllers():
            requirements.absent_here(f"no {controller} controller on this host")


def cgroup_file(container_cgroups: dict[str, str], controller: str, v1: str, v2: str) -> str:
    """Read a container's file of a controller, by its name in the version mounted here."""
    if UNIFIED:
        return Path(f"/sys/fs/cgroup{container_cgroups['']}", v2).read_text().strip()
    return (
        Path(f"/sys/fs/cgroup/{controller}{container_cgroups[controller]}", v1).read_text().strip()
    )
