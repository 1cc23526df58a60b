"""Says in plain words why something is taken for a container."""

from collections.abc import Sequence

from inspector.discovery.world import FIRST, Inodes, World
from inspector.join import Entity

_NAMES = {
    "bubblewrap": "bubblewrap",
    "cinspect": "cinspect",
    "containerd": "containerd",
    "cri-o": "CRI-O",
    "docker": "Docker",
    "lxc": "LXC",
    "podman": "Podman",
    "systemd-nspawn": "systemd-nspawn",
}


def evidence(world: World, entity: Entity, inodes: Inodes | None) -> tuple[str, ...]:
    """Return the reasons, the strongest first."""
    group = entity.group
    if group is None:
        return listed(entity)
    said: list[str] = []
    if inodes is None:
        said.append("its namespaces may not be read by this user: only its cgroup tells it")
    elif group.kind == "self":
        said.append(_inside(world))
    else:
        said.extend(_namespaces(world, inodes))
    numbers = group.init.namespace_pids
    if len(numbers) > 1:
        said.append(f"{group.init.pid} is {numbers[-1]} inside")
    if group.label is not None:
        name = _NAMES.get(group.label.engine or "", group.label.engine)
        by = f"as {name} names them" if name else "by a container id"
        said.append(f"its cgroup {group.label.prefix} is named {by}")
    said.extend(_root(world, inodes))
    if entity.supervisor is not None:
        tool, pid = entity.supervisor.tool, entity.supervisor.pid
        verb = "owned" if entity.supervisor.shim else "made"
        said.append(f"{verb} by {tool} (pid {pid})")
    said.extend(_listed(entity))
    if entity.parent is not None:
        said.append(f"it runs within container {entity.parent}")
    if world.own_pid in group.pids and group.kind != "self":
        said.append("cinspect itself runs in it")
    return tuple(said)


def listed(entity: Entity) -> tuple[str, ...]:
    """Return why a container without a process is there, and what its engine says is wrong."""
    said = [*_listed(entity), "no process of it is visible"]
    if entity.named is not None and entity.named.error:
        said.append(f"{entity.named.engine} says: {entity.named.error}")
    return tuple(said)


def _namespaces(world: World, inodes: Inodes) -> Sequence[str]:
    differing = world.differing(inodes)
    whose = "the host's" if world.host_known else "this process's (pid 1's may not be read)"
    if world.inside:
        whose = "those around it"
    if not differing:
        return (f"it shares every namespace with {whose.removesuffix(chr(39) + 's')}",)
    noun = "namespaces differ" if len(differing) > 1 else "namespace differs"
    return (f"{_list(differing)} {noun} from {whose}",)


def _inside(world: World) -> str:
    first = FIRST["pid"]
    return (
        "cinspect itself runs in it: process 1 is not in the kernel's first pid namespace "
        f"({first}), and the host outside of {world.host[3]} is not visible"
    )


def _root(world: World, inodes: Inodes | None) -> Sequence[str]:
    own = world.roots.get(inodes[0] or 0) if inodes else None
    host = world.roots.get(world.host[0] or 0)
    if own is None or inodes is None or inodes[0] == world.host[0]:
        return ()
    if host is not None and (own.device, own.root) == (host.device, host.root):
        return ("its root is the host's",)
    if own.fstype == "overlay":
        return ("its root is an overlay of its own",)
    return (f"its root is {own.root} of a {own.fstype}, not the host's",)


def _listed(entity: Entity) -> Sequence[str]:
    if entity.named is None:
        return ()
    name = _NAMES.get(entity.named.engine, entity.named.engine)
    return (f"{name} lists it as {entity.named.name or entity.named.id}",)


def _list(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
