"""Where a user's containers have their cgroups, in the part of v2's tree that the user was given.

cgroup-v2.rst, "Delegation": a directory is given with `cgroup.procs` and `cgroup.subtree_control`. As
the user's own processes are somewhere below, no controller can be enabled where they are ("No Internal
Process Constraint"), so that containers go beside them.
"""

import os

from runtime.cgroups.hierarchy import Hierarchy


def path(hierarchy: Hierarchy, wanted: str) -> str:
    """Return the whole path of a cgroup for which `wanted` was asked, there already or not.

    One that leads to where the user may make cgroups is taken as it is; all others are from beside
    the caller's own cgroup where that may be, and from below it otherwise.
    """
    root = hierarchy.mountpoint.rstrip("/")
    if _given(root + _nearest(root, wanted)):
        return wanted
    own = hierarchy.own.rstrip("/")
    beside = os.path.dirname(own).rstrip("/")
    return (beside if _given(root + beside) else own) + wanted


def _nearest(root: str, path: str) -> str:
    """Return the path of the deepest cgroup that is there: itself, or one above it."""
    while path != "/" and not os.path.isdir(root + path):
        path = os.path.dirname(path)
    return path


def _given(directory: str) -> bool:
    """Tell whether this user may make cgroups there, and move processes between those."""
    return all(os.access(each, os.W_OK) for each in (directory, f"{directory}/cgroup.procs"))
