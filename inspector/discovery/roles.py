"""Tells what a container is for: a person's program, a pod's sandbox, or a program's own cage."""

from typing import Final, Literal

from collectors.engine import EngineContainer
from inspector.discovery.ancestry import Supervisor
from inspector.discovery.groups import Group
from inspector.discovery.world import MNT, World

Role = Literal["container", "pod_sandbox", "sandbox"]

_PAUSES: Final = frozenset({"pause", "catatonit", "pinns"})
"""What a pod's sandbox runs, which waits for signals and does nothing else."""


def role(
    world: World,
    group: Group | None,
    named: EngineContainer | None,
    supervisor: Supervisor | None,
) -> Role:
    """Return a container's role; where the engine does not answer, from the kernel alone."""
    if named is not None and named.sandbox:
        return "pod_sandbox"
    if group is None:
        return "container"
    if _holds_a_pod(group, named, supervisor):
        return "pod_sandbox"
    return "sandbox" if is_cage(world, group, supervisor) else "container"


def is_cage(world: World, group: Group, supervisor: Supervisor | None) -> bool:
    """Return whether a program shut a part of itself in, as browsers do with what they load.

    Such a part has a pid namespace, and often more, but sees the mounts of the program around it,
    and no tool or engine made it.
    """
    inodes = world.members.get(group.init.pid)
    if inodes is None or group.label is not None or supervisor is not None or group.kind == "self":
        return False
    return inodes[MNT] == world.host[MNT]


def _holds_a_pod(
    group: Group, named: EngineContainer | None, supervisor: Supervisor | None
) -> bool:
    pod = named.pod if named is not None else None
    label = group.label
    if pod is None and (label is None or label.pod is None):
        return False
    if group.init.comm in _PAUSES:
        return True
    # containerd's shim owns a whole pod, and is called by its sandbox's id.
    return (
        label is not None
        and label.pod is not None
        and supervisor is not None
        and supervisor.tool.startswith("containerd-shim")
        and supervisor.id == label.id
    )
