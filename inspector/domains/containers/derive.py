"""Containers: every one that was found, with names, numbers, surroundings and reasons."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

from msgspec import structs

from collectors.kernel.namespaces import TYPES
from inspector.discovery.groups import Group
from inspector.discovery.world import Inodes
from inspector.domains.containers import resources, security
from inspector.domains.containers.evidence import evidence, listed
from inspector.domains.containers.model import Container, Security, Shim, Status
from inspector.domains.containers.resources import Meter, Used
from inspector.domains.layers import derive as layers
from inspector.domains.layers.derive import Stacks
from inspector.domains.layers.model import Rootfs
from inspector.join import Entity, Joined
from inspector.memos import Memos
from inspector.placement import Placement


def derive(
    joined: Joined,
    meter: Meter,
    stacks: Stacks,
    placements: Mapping[str, Placement],
    memos: Memos | None = None,
) -> tuple[Container, ...]:
    """Return the containers: those with processes by age, then those that only an engine lists."""
    memos = memos or Memos()
    spaces = {entity.id: joined.spaces(entity) for entity in joined.entities}
    users = layers.users(stacks, spaces)
    sharing = memos.memo("sharing", dict[str, dict[str, tuple[str, ...]]]).of(
        "", (joined.structure.shape,), lambda: _sharing(joined, spaces)
    )
    memo, whole = memos.memo("about containers", Container), memos.memo("containers", Container)
    reasons = memos.memo("evidence", tuple[str, ...])
    found: list[Container] = []
    for entity in joined.entities:
        group = entity.group
        if group is None:
            found.append(memo.of(entity.id, (entity.named, entity), partial(_listed, entity)))
            continue
        rootfs = layers.rootfs(
            stacks,
            spaces[entity.id],
            users,
            container=entity.id,
            digests=entity.named.layer_digests if entity.named is not None else (),
            memos=memos,
        )
        parts = _Parts(
            rootfs=rootfs,
            place=placements[entity.id],
            shared_with=sharing.get(entity.id, {}),
            paused=resources.frozen(meter, group, placements[entity.id]),
            command=_command(joined, entity),
            begun=joined.started_at(group.init),
            security=security.derive(joined, group.init, spaces[entity.id], memos),
            evidence=reasons.of(
                entity.id,
                (joined.structure.shape,),
                partial(evidence, joined.world, entity, spaces[entity.id]),
            ),
            shared_with_host=_shared_with_host(joined, entity, spaces[entity.id]),
        )
        used = resources.resources(meter, entity, placements[entity.id], memos)
        inputs = (*_about(entity, group), spaces[entity.id], *parts)
        row = memo.of(entity.id, inputs, partial(_running, entity, joined, parts))
        found.append(whole.of(entity.id, (row, used), partial(_using, row, used)))
    return tuple(found)


def _using(row: Container, used: Used) -> Container:
    return structs.replace(
        row,
        resources=used.resources,
        verdicts=tuple(one.sentence for one in used.findings),
        findings=used.findings,
    )


class _Parts(NamedTuple):
    """What a running container's row is made from besides who it is and what it uses."""

    rootfs: Rootfs | None
    place: Placement
    shared_with: Mapping[str, tuple[str, ...]]
    paused: bool
    command: tuple[str, ...]
    begun: datetime | None
    security: Security
    evidence: tuple[str, ...]
    shared_with_host: tuple[str, ...]


def _about(entity: Entity, group: Group) -> tuple[object, ...]:
    """Return who a container is, in values: its group is another object after each birth anywhere."""
    return (
        entity.id,
        entity.name,
        entity.engine,
        entity.engine_namespace,
        entity.named,
        entity.supervisor,
        entity.parent,
        entity.pod,
        entity.role,
        group.init.pid,
        group.init.comm,
        group.pids,
    )


def _running(entity: Entity, joined: Joined, parts: _Parts) -> Container:
    group, named = entity.group, entity.named
    if group is None:
        raise AssertionError("only a container with processes runs")
    inodes = joined.spaces(entity)
    supervisor = entity.supervisor
    status = _status(entity, paused=parts.paused)
    # A created one's process has begun, but what it is for has not.
    begun = None if status == "created" else parts.begun
    return Container(
        id=entity.id,
        name=entity.name,
        engine=entity.engine,
        engine_namespace=entity.engine_namespace,
        pod=entity.pod,
        image=named.image if named else None,
        image_digest=named.image_digest if named else None,
        image_history=named.image_history if named else (),
        labels=named.labels if named else {},
        command=(named.command if named else None) or parts.command,
        status=status,
        pid=group.init.pid,
        pids=tuple(sorted(group.pids)),
        created_at=named.created_at if named else None,
        started_at=(named.started_at if named else None) or begun,
        finished_at=None,
        exit_code=None,
        runtime=(named.runtime if named else None) or (supervisor.runtime if supervisor else None),
        shim=_shim(entity),
        namespaces=dict(zip(TYPES, inodes, strict=True)) if inodes else {},
        shared_with_host=parts.shared_with_host,
        shared_with=parts.shared_with,
        cgroups=_by_controller(parts.place),
        rootfs=parts.rootfs,
        resources=None,
        security=parts.security,
        evidence=parts.evidence,
        parent=entity.parent,
        role=entity.role,
        cgroup_manager=named.cgroup_manager if named else None,
    )


def _listed(entity: Entity) -> Container:
    named = entity.named
    if named is None:
        raise AssertionError("an engine lists what has no process")
    return Container(
        id=entity.id,
        name=entity.name,
        engine=entity.engine,
        engine_namespace=entity.engine_namespace,
        pod=entity.pod,
        image=named.image,
        image_digest=named.image_digest,
        image_history=named.image_history,
        labels=named.labels,
        command=named.command or (),
        status=named.status or "stopped",
        pid=None,
        pids=(),
        created_at=named.created_at,
        started_at=named.started_at,
        finished_at=named.finished_at,
        exit_code=named.exit_code,
        runtime=named.runtime,
        shim=_shim(entity),
        namespaces={},
        shared_with_host=(),
        shared_with={},
        cgroups={},
        rootfs=layers.of_engine(named),
        resources=None,
        security=None,
        evidence=listed(entity),
        role=entity.role,
    )


def _status(entity: Entity, *, paused: bool) -> Status:
    """Return the kernel's truth: a frozen cgroup is paused whatever an engine says."""
    if paused:
        return "paused"
    if entity.named is not None and entity.named.status == "created":
        return "created"
    init = entity.init
    # runc's first stage renames itself so, and waits in it until the container is started.
    if init is not None and init.comm.startswith("runc:["):
        return "created"
    return "running"


def _command(joined: Joined, entity: Entity) -> tuple[str, ...]:
    """Return the first process's command; bubblewrap stays as process 1: then its first child's."""
    init, group = entity.init, entity.group
    if init is None or group is None:
        return ()
    if entity.engine in {"bubblewrap", "flatpak"} and init.comm in {"bwrap", "flatpak-bwrap"}:
        listed = joined.world.processes
        children = (listed[pid] for pid in sorted(group.pids) if pid in listed)
        child = next((process for process in children if process.ppid == init.pid), None)
        if child is not None:
            return child.command
    return init.command


def _shim(entity: Entity) -> Shim | None:
    if entity.named is not None and entity.named.shim is not None:
        said = entity.named.shim
        return Shim(pid=said.pid, address=said.address, version=said.version)
    found = entity.supervisor
    if found is None or not found.shim:
        return None
    return Shim(pid=found.pid, address=found.address, version=found.version)


def _shared_with_host(joined: Joined, entity: Entity, inodes: Inodes | None) -> tuple[str, ...]:
    if inodes is None or (entity.group is not None and entity.group.kind == "self"):
        return joined.world.shared_with_first(inodes) if inodes else ()
    differing = joined.world.differing(inodes)
    return tuple(
        kind
        for kind, inode in zip(TYPES, inodes, strict=True)
        if inode is not None and kind not in differing
    )


def _sharing(
    joined: Joined, spaces: Mapping[str, Inodes | None]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return for each container, by type, the others in the same namespace, the host's left out."""
    members: dict[int, list[str]] = {}
    for container, inodes in spaces.items():
        for inode, host_inode in zip(inodes or (), joined.world.host, strict=False):
            if inode is not None and inode != host_inode:
                members.setdefault(inode, []).append(container)
    result: dict[str, dict[str, tuple[str, ...]]] = {}
    for container, inodes in spaces.items():
        for kind, inode in zip(TYPES, inodes or (), strict=False):
            others = tuple(name for name in members.get(inode or 0, ()) if name != container)
            if others:
                result.setdefault(container, {})[kind] = others
    return result


def _by_controller(place: Placement) -> dict[str, str]:
    """Return the path of each v1 controller, and that of version 2 under the empty name."""
    return {
        controller: path
        for name, path in sorted(place.paths.items())
        for controller in (name.split(",") if name else ("",))
    }
