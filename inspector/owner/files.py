"""Owners of paths, open descriptors and inodes."""

import posixpath
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from collectors.lookups import Open, PathFacts
from inspector.domains.mounts.model import Mount
from inspector.owner import processes, question
from inspector.owner.facts import Facts
from inspector.owner.model import Answer, Miss, Question

_PROC: Final = re.compile(r"/proc/([0-9]+)(/root(?=/|$))?(/.*)?", re.ASCII)
_SOCKET: Final = re.compile(r"socket:\[([0-9]+)\]", re.ASCII)
_SHOWN: Final = 8
_ROLES: Final = {
    "merged": "the merged root",
    "upper": "the upper layer (what the container itself wrote)",
    "work": "overlay's working directory",
    "lower": "a lower layer",
    "root": "the root file system",
}


class _Match(NamedTuple):
    """A directory of a container's that a path is in."""

    directory: str
    container: str
    step: str


def path(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for a path of the host's: the deepest directory of a container's that it is in.

    Else, who has it open.
    """
    found = facts.paths.get(asked.value)
    if found is None:
        return Miss("path", "it was not looked at")
    inside = _PROC.fullmatch(found.path)
    if inside and int(inside[1]) in facts.processes:
        seen = inside[3] or "/" if inside[2] else None
        return _through_process(found, int(inside[1]), seen, facts)
    if found.kind is None and not asked.explicit and not asked.value.startswith("/"):
        return Miss("path", f"there is no {found.path} ({found.problem})")
    chain = _first_steps(found)
    matches = [*_layers(found, facts), *_mounted(found, facts)]
    deepest = max((len(one.directory) for one in matches), default=0)
    best = [one for one in matches if len(one.directory) == deepest]
    chain += [one.step for one in best]
    opened = _opened(found.inode, facts) if found.kind not in {None, "directory"} else []
    owners = [one.container for one in best] or _of_open(opened, facts)
    chain += _says_open(opened, facts)
    if found.kind is None and not owners:
        return Miss("path", f"{found.path}: {found.problem}")
    return Answer(
        kind="path",
        subject=f"path {found.path}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else f"a {found.kind} of the host's",
    )


def fd(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for an open descriptor: its process's container, and what it is."""
    pid, number = question.descriptor(asked.value)
    process = facts.processes.get(pid)
    found = facts.descriptors.get((pid, number))
    if process is None:
        return Miss("fd", f"there is no process {pid}")
    if found is None or found.link is None:
        reason = found.problem if found and found.problem else "it was not looked at"
        return Miss("fd", f"descriptor {number} of {facts.process(pid)}: {reason}")
    chain = [f"descriptor {number} of {facts.process(pid)} is {found.link}"]
    if found.mount_id is not None and found.link.startswith("/"):
        chain.append(f"inode {found.inode} by mount {found.mount_id}")
    socket = _SOCKET.fullmatch(found.link)
    if socket:
        chain += _socket(int(socket[1]), facts)[0]
    chain.append(processes.describe(process))
    steps, owners, instead = processes.of_process(process, facts)
    return Answer(
        kind="fd",
        subject=f"descriptor {number} of pid {pid}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys([*chain, *steps])),
        instead=None if instead is None else f"a descriptor of {instead}",
    )


def inode(asked: Question, facts: Facts) -> Answer | Miss:
    """Answer for an inode: of a socket, or of a file that somebody has open.

    Inodes of namespaces and cgroups are answered for as such.
    """
    number = int(asked.value)
    chain, owners = _socket(number, facts)
    opened = _opened(number, facts)
    chain += _says_open(opened, facts)
    owners += _of_open(opened, facts)
    if not chain:
        return Miss(
            "inode", f"no socket has inode {number}, and no process a file open that has it"
        )
    return Answer(
        kind="inode",
        subject=f"inode {number}",
        owners=facts.owners(owners),
        chain=tuple(dict.fromkeys(chain)),
        instead=None if owners else "open in processes of the host only",
    )


def _through_process(found: PathFacts, pid: int, seen: str | None, facts: Facts) -> Answer:
    """Answer for a path in /proc/PID; below /proc/PID/root, `seen` is the path as the process sees it."""
    process = facts.processes[pid]
    chain = [f"{found.path} is in process {pid}'s own directory in /proc"]
    if seen is not None:
        chain = [f"{found.path} is {seen} as {facts.process(pid)} sees it"]
    if found.kind is None:
        chain.append(f"nothing could be seen there: {found.problem}")
    chain.append(processes.describe(process))
    steps, owners, instead = processes.of_process(process, facts)
    return Answer(
        kind="path",
        subject=f"path {found.path}",
        owners=facts.owners(owners),
        chain=(*chain, *steps),
        instead=None if instead is None else f"a path of {instead}",
    )


def _first_steps(found: PathFacts) -> list[str]:
    if found.kind is None:
        return [f"{found.path} could not be looked at: {found.problem}"]
    chain = [f"{found.path} is a {found.kind}, inode {found.inode}"]
    if found.real != found.path:
        chain.append(f"it leads to {found.real}")
    return chain


def _layers(found: PathFacts, facts: Facts) -> Iterator[_Match]:
    """Yield the layers and root directories that a path is in."""
    for one in facts.containers:
        rootfs = one.rootfs
        if rootfs is None:
            continue
        places: list[tuple[str, str]] = [(layer.role, layer.path) for layer in rootfs.layers]
        if rootfs.path is not None and rootfs.path != "/":
            places.append(("root", rootfs.path))
        for role, directory in places:
            below = _below(found.real, directory)
            if below is not None and directory != "/":
                what = f"{directory} is {_ROLES[role]} of {facts.name(one.id)}"
                inside = f", where this is {below}" if role in {"merged", "root", "upper"} else ""
                yield _Match(directory, one.id, what + inside)


def _mounted(found: PathFacts, facts: Facts) -> Iterator[_Match]:
    """Yield the mounts of containers that show a path of the host's inside: volumes, binds.

    A path is followed to its file system, and from there to whoever else has mounted it. Mounts that
    a container has as the host has them are copies of the host's, and say nothing.
    """
    host = [one for one in facts.mounts if facts.is_hosts(one.namespace)]
    under = _mount_of(found.real, host)
    if under is None:
        return
    place = posixpath.normpath(f"{under.root}/{_below(found.real, under.mountpoint) or ''}")
    copies = {(one.device, one.root, one.mountpoint) for one in host}
    for one in facts.mounts:
        if facts.is_hosts(one.namespace) or one.device != under.device:
            continue
        below = _below(place, one.root)
        if below is None or (one.device, one.root, one.mountpoint) in copies or one.root == "/":
            continue
        directory = found.real if below == "/" else found.real[: -len(below)]
        for name in facts.members(one.namespace):
            inside = posixpath.normpath(f"{one.mountpoint}/{below}")
            step = f"{directory} is mounted at {one.mountpoint} in {facts.name(name)}"
            yield _Match(directory, name, f"{step}, where this is {inside}")


def _mount_of(path: str, mounts: list[Mount]) -> Mount | None:
    """Return the mount that a path is on: the deepest, of several at one place the last."""
    best: Mount | None = None
    for one in mounts:
        deeper = best is None or len(one.mountpoint) >= len(best.mountpoint)
        if deeper and _below(path, one.mountpoint) is not None:
            best = one
    return best


def _below(path: str, directory: str) -> str | None:
    """Return where a path is below a directory: `/` for itself, None when it is not."""
    top = directory.rstrip("/")
    if path in {top, directory}:
        return "/"
    return path[len(top) :] if path.startswith(f"{top}/") else None


def _opened(number: int, facts: Facts) -> list[Open]:
    """Return who has a file open, or listens at it."""
    if facts.open_files is None:
        return []
    found = list(facts.open_files.holders.get(number, ()))
    for inode, file in facts.listening.items():
        if file == number:
            found += facts.open_files.holders.get(inode, ())
    return found


def _of_open(opened: list[Open], facts: Facts) -> list[str]:
    found = (facts.processes[one.pid].container for one in opened if one.pid in facts.processes)
    return [name for name in dict.fromkeys(found) if name is not None]


def _says_open(opened: list[Open], facts: Facts) -> list[str]:
    said: list[str] = []
    for one in opened[:_SHOWN]:
        process = facts.processes.get(one.pid)
        owner = process.container if process else None
        whose = f" of {facts.name(owner)}" if owner else " of the host"
        socket = _SOCKET.fullmatch(one.link)
        at = ", which listens there," if socket and int(socket[1]) in facts.listening else ""
        said.append(
            f"{facts.process(one.pid)}{whose} has {one.link}{at} open (descriptor {one.number})"
        )
    if len(opened) > _SHOWN:
        said.append(f"and {len(opened) - _SHOWN} more descriptors")
    return said


def _socket(number: int, facts: Facts) -> tuple[list[str], list[str]]:
    """Return what an internet socket is by its inode, and whose."""
    for space in facts.networks:
        where = facts.where(space.inode)
        for listener in space.listeners or ():
            if listener.inode == number:
                said = f"{listener.protocol} port {listener.port} on {listener.address}"
                owners = [listener.container] if listener.container else []
                return [f"socket {number} listens on {said} in {where}"], owners
        for one in space.connections:
            if one.inode == number:
                ends = f"{one.address}:{one.port} → {one.remote_address}:{one.remote_port}"
                owners = [one.container] if one.container else []
                return [
                    f"socket {number} is {one.protocol} {ends} ({one.state}) in {where}"
                ], owners
    return [], []
