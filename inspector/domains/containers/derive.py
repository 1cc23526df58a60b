"""Containers: every one that was found, with names, numbers, surroundings and reasons."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from collectors.kernel.namespaces import TYPES
from inspector.discovery.groups import Group
from inspector.discovery.world import MNT, Inodes
from inspector.domains.containers import resources, security
from inspector.domains.containers.evidence import evidence, listed
from inspector.domains.containers.model import Container, Shim, Status
from inspector.domains.containers.resources import Meter, Used
from inspector.domains.layers import derive as layers
from inspector.domains.layers.derive import Stacks
from inspector.domains.layers.model import Rootfs
from inspector.join import Entity, Joined
from inspector.memos import Memos
from inspector.placement import Placement

if TYPE_CHECKING:
    from collectors.kernel.layers import Overlay


def derive(
    joined: Joined,
    meter: Meter,
    stacks: Stacks,
    placements: Mapping[str, Placement],
    memos: Memos | None = None,
) -> tuple[Container, ...]:
    """Return the containers: those with processes by age, then those that only an engine lists."""
    memos = memos or Memos()
    rows, maker = memos.one(_Rows), _Maker(joined, stacks, placements, memos)
    before, rows.kept = rows.begin(maker, memos.frame), {}
    found: list[Container] = []
    for entity in joined.entities:
        group = entity.group
        if group is None:
            named = (entity.named, entity)
            found.append(maker.memo.of(entity.id, named, partial(_listed, entity)))
            continue
        used = resources.resources(meter, entity, placements[entity.id], memos)
        kept = before.get(entity.id)
        if kept is None or not rows.same or not maker.again(entity, group, used, kept):
            kept = maker.anew(entity, group, used, kept)
        elif kept.used is not used:
            kept = kept._replace(used=used, whole=_using(kept.row, used))
        rows.kept[entity.id] = kept
        found.append(kept.whole)
    return tuple(found)


class _Kept(NamedTuple):
    """A container of the frame before."""

    entity: Entity
    pids: Collection[int]
    place: Placement
    plain: bool
    """Whether no upper layer of it is looked into."""
    row: Container
    """Without what it uses."""
    used: Used
    whole: Container


class _Rows:
    """Those of the frame before."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self.same = False
        """Whether what holds for all is as it was."""
        self._frame = 0
        self._shape: object = None
        self._labels: object = None
        self._clock: object = None
        self._overlays: Mapping[int, Overlay] = {}

    def begin(self, maker: "_Maker", frame: int) -> Mapping[str, _Kept]:
        """Return them, if there was such a frame."""
        following = self._frame == frame - 1
        shape, labels, overlays = maker.joined.structure.shape, maker.labels, maker.stacks.overlays
        clock = maker.joined.clock()
        self.same = (
            following
            and self._shape is shape
            and self._labels is labels
            and self._clock == clock
            and self._overlays == overlays
        )
        self._frame, self._shape, self._labels = frame, shape, labels
        self._clock, self._overlays = clock, overlays
        return self.kept if following else {}


class _Maker:
    """Makes rows of one frame."""

    def __init__(
        self, joined: Joined, stacks: Stacks, placements: Mapping[str, Placement], memos: Memos
    ) -> None:
        self.joined, self.stacks = joined, stacks
        self._placements, self._memos = placements, memos
        shape = joined.structure.shape
        self._spaces = memos.memo("spaces", dict[str, Inodes | None]).of(
            "", (shape,), lambda: {one.id: joined.spaces(one) for one in joined.entities}
        )
        self._users = memos.memo("users", dict[str, tuple[str, ...]]).of(
            "", (shape, stacks.overlays), lambda: layers.users(stacks, self._spaces)
        )
        self._sharing = memos.memo("sharing", dict[str, dict[str, tuple[str, ...]]]).of(
            "", (shape,), lambda: _sharing(joined, self._spaces)
        )
        self.labels = security.labels(joined.sample, memos)
        self.memo = memos.memo("containers", Container)

    def again(self, entity: Entity, group: Group, used: Used, kept: _Kept) -> bool:
        """Return whether its row is the one of before, where what holds for all is as it was."""
        if (
            kept.entity is not entity
            or kept.pids is not group.pids
            or kept.place is not self._placements[entity.id]
            or kept.used.paused is not used.paused
            or not kept.plain
            or not self._is_plain(entity)
        ):
            return False
        self.memo.again(entity.id)
        return True

    def anew(self, entity: Entity, group: Group, used: Used, kept: _Kept | None) -> _Kept:
        """Return its row: the one of before where all that it is made from is equal."""
        joined, inodes = self.joined, self._spaces[entity.id]
        place, world = self._placements[entity.id], joined.world
        mnt, host = inodes[MNT] if inodes else None, world.host[MNT]
        parts = _Parts(
            rootfs=layers.rootfs(
                self.stacks,
                inodes,
                self._users,
                container=entity.id,
                digests=entity.named.layer_digests if entity.named is not None else (),
                memos=self._memos,
            ),
            place=place,
            shared_with=self._sharing.get(entity.id, {}),
            paused=used.paused,
            command=_command(joined, entity),
            begun=joined.started_at(group.init),
            security=security.made_from(joined, group.init, inodes, self.labels),
        )
        around = (world.host, world.host_known, world.inside, world.own_pid in group.pids)
        roots = (world.roots.get(mnt or 0), world.roots.get(host or 0))
        inputs = (*_about(entity, group), inodes, *parts, *around, *roots)
        row = self.memo.of(entity.id, inputs, partial(_running, entity, joined, parts))
        whole = kept.whole if kept and kept.row is row and kept.used is used else _using(row, used)
        return _Kept(entity, group.pids, place, self._is_plain(entity), row, used, whole)

    def _is_plain(self, entity: Entity) -> bool:
        if not self.stacks.uppers:
            return True
        inodes = self._spaces[entity.id]
        overlay = self.stacks.overlays.get(inodes[MNT] or 0) if inodes else None
        return overlay is None or overlay.upperdir not in self.stacks.uppers


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
    security: security.Made


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
        group.init,
        group.kind,
        group.label,
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
        shared_with_host=_shared_with_host(joined, entity, inodes),
        shared_with=parts.shared_with,
        cgroups=_by_controller(parts.place),
        rootfs=parts.rootfs,
        resources=None,
        security=security.of(parts.security),
        evidence=evidence(joined.world, entity, inodes),
        parent=entity.parent,
        role=entity.role,
        said_by=named.said_by if named else None,
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
        said_by=named.said_by,
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
