"""Two samples make a frame. Pure: no clock, no files."""

from collections.abc import Mapping

from msgspec import UNSET

from collectors.errors import Problem
from inspector.discovery.world import MNT, NET
from inspector.domains.cgroups import derive as cgroups
from inspector.domains.cgroups import limits, still
from inspector.domains.cgroups.window import NOTHING, Past
from inspector.domains.containers import derive as containers
from inspector.domains.containers import resources
from inspector.domains.containers.model import Container
from inspector.domains.engines import derive as engines
from inspector.domains.events import derive as events
from inspector.domains.host import derive as host
from inspector.domains.layers import derive as layers
from inspector.domains.mounts import derive as mounts
from inspector.domains.namespaces import derive as namespaces
from inspector.domains.network import derive as network
from inspector.domains.network import spaces
from inspector.domains.processes import derive as processes
from inspector.domains.tasks.model import Tasks
from inspector.frame import Cost, Frame, Image
from inspector.join import Joined, join
from inspector.memos import Memos
from inspector.placement import Placement, nearest, owners, placements
from inspector.sample import Sample


def derive(
    previous: Sample | None, current: Sample, memos: Memos | None = None, past: Past = NOTHING
) -> Frame:
    """Return the frame of a moment; rates need `previous` and are null without it.

    With the memos of the frames before, what is as it was is the same object as in those; what the
    frame says is the same with any memos or none.
    """
    memos = memos or Memos()
    memos.begin()
    joined = join(current, memos)
    asked = current.sections
    # What happened to containers between two samples is events too: those need the containers.
    shown = bool(asked & {"containers", "events"})
    placed = _placed(joined, memos) if shown or "cgroups" in asked else {}
    table = limits.table(previous, current, past, still.last(memos))
    still.carry(table, memos)
    alone = _Alone(joined, memos)
    mounted = (
        mounts.derive(current, alone.owners(MNT), joined.world.host[MNT], memos)
        if "mounts" in asked
        else UNSET
    )
    seen = _containers(previous, joined, table, placed, memos) if shown else ()
    return Frame(
        taken_at=current.taken_at,
        cost=Cost(
            wall_seconds=current.wall_seconds,
            cpu_seconds=current.cpu_seconds,
            files_read=current.files_read,
        ),
        host=host.derive(previous, current),
        engines=engines.derive(current),
        containers=seen if shown else UNSET,
        namespaces=namespaces.derive(joined, memos) if "namespaces" in asked else UNSET,
        cgroups=cgroups.derive(table, _cgroup_owners(table, placed, memos), memos)
        if "cgroups" in asked
        else UNSET,
        mounts=mounted,
        filesystems=UNSET if mounted is UNSET else mounts.of_filesystems(current, mounted, memos),
        processes=processes.derive(joined, previous, memos) if "processes" in asked else UNSET,
        network=network.derive(current, alone.owners(NET), joined.world.host[NET], memos)
        if "network" in asked
        else UNSET,
        network_namespaces=spaces.derive(joined, alone.owners(NET), memos)
        if "network" in asked
        else UNSET,
        tasks=_tasks(joined) if "tasks" in asked else UNSET,
        images=_images(current) if "images" in asked else UNSET,
        events=events.told(current, seen) if "events" in asked else UNSET,
        errors=(*current.problems, *_remarks(joined)),
    )


def _containers(
    previous: Sample | None,
    joined: Joined,
    table: limits.Table,
    placed: Mapping[str, Placement],
    memos: Memos,
) -> tuple[Container, ...]:
    found = layers.stacks(previous, joined.sample, joined.world.roots, joined.world.host[MNT])
    meter = resources.meter(joined, table, previous, memos)
    return containers.derive(joined, meter, found, placed, memos)


def _placed(joined: Joined, memos: Memos) -> dict[str, Placement]:
    last = memos.one(_Placed)
    if last.shape is not joined.structure.shape:
        before, last.placed, last.shape = last.placed, {}, joined.structure.shape
        for name, now in placements(joined).items():
            was = before.get(name)
            last.placed[name] = was if was is not None and was == now else now
    return last.placed


class _Placed:
    """Where the containers were in the frame before: the same objects where they still are."""

    def __init__(self) -> None:
        self.shape: object = None
        self.placed: dict[str, Placement] = {}


def _cgroup_owners(
    table: limits.Table, placed: Mapping[str, Placement], memos: Memos
) -> dict[tuple[str, str], str]:
    def find() -> dict[tuple[str, str], str]:
        known = {
            (name, table.local(name, path)): container
            for (name, path), container in owners(placed).items()
        }
        return nearest(known, table.current)

    return memos.memo("owners", dict[tuple[str, str], str]).of(
        "", (placed, table.roots, list(table.current)), find
    )


class _Alone:
    """Whose each namespace of a type is, by its inode."""

    def __init__(self, joined: Joined, memos: Memos) -> None:
        self._joined = joined
        self._memo = memos.memo("alone", dict[int, str])

    def owners(self, kind: int) -> dict[int, str]:
        structure = self._joined.structure
        return self._memo.of(kind, (structure.shape,), lambda: _sole_owners(self._joined, kind))


def _sole_owners(joined: Joined, kind: int) -> dict[int, str]:
    """Return whose each namespace is: the container whose first process is in it.

    Of several, the eldest that is not within another of them; the host's own belongs to none.
    """
    result: dict[int, str] = {}
    for entity in joined.entities:
        inodes = joined.spaces(entity)
        inode = inodes[kind] if inodes else None
        if inode is not None and inode != joined.world.host[kind]:
            result.setdefault(inode, entity.id)
    return result


def _tasks(joined: Joined) -> tuple[Tasks, ...]:
    # Not loaded by what does not ask for it.
    from inspector.domains.tasks import derive as tasks  # noqa: PLC0415

    return tasks.derive(joined)


def _images(current: Sample) -> tuple[Image, ...]:
    """Return the embedded engine's images; `@host` is always there."""
    there = any(answer.name == "cinspect" and answer.reading for answer in current.engines)
    return (Image(name="@host", digest=None, size_bytes=None, created_at=None),) if there else ()


def _remarks(joined: Joined) -> tuple[Problem, ...]:
    """Return what limits the whole view, so that nothing is wrong quietly."""
    said: list[Problem] = []
    world = joined.world
    if world.members and not world.host_known:
        said.append(
            Problem(
                "/proc/1/ns",
                "readlink",
                "denied",
                "pid 1's namespaces may not be read: this process's own stand in for the host's",
            )
        )
    if world.inside:
        said.append(
            Problem(
                "/proc/1/ns/pid",
                "readlink",
                "missing",
                "cinspect runs within a container: what is outside of it is not visible, "
                "and 'the host' is the container's own process 1",
            )
        )
    return tuple(said)
