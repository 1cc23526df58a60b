"""Two samples make a frame. Pure: no clock, no files."""

from collections.abc import Mapping

from msgspec import UNSET

from collectors.errors import Problem
from inspector.discovery.world import MNT, NET
from inspector.domains.cgroups import derive as cgroups
from inspector.domains.cgroups import limits
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
from inspector.domains.tasks import derive as tasks
from inspector.frame import Cost, Frame, Image
from inspector.join import Joined, join
from inspector.placement import Placement, nearest, owners, placements
from inspector.sample import Sample


def derive(previous: Sample | None, current: Sample) -> Frame:
    """Return the frame of a moment; rates need `previous` and are null without it."""
    joined = join(current)
    asked = current.sections
    # What happened to containers between two samples is events too: those need the containers.
    shown = bool(asked & {"containers", "events"})
    placed = placements(joined) if shown or "cgroups" in asked else {}
    table = limits.table(previous, current)
    return Frame(
        taken_at=current.taken_at,
        cost=Cost(
            wall_seconds=current.wall_seconds,
            cpu_seconds=current.cpu_seconds,
            files_read=current.files_read,
        ),
        host=host.derive(previous, current),
        engines=engines.derive(current),
        containers=_containers(previous, joined, table, placed) if shown else UNSET,
        namespaces=namespaces.derive(joined) if "namespaces" in asked else UNSET,
        cgroups=cgroups.derive(table, _cgroup_owners(table, placed))
        if "cgroups" in asked
        else UNSET,
        mounts=mounts.derive(current, _sole_owners(joined, MNT), joined.world.host[MNT])
        if "mounts" in asked
        else UNSET,
        processes=processes.derive(joined, previous) if "processes" in asked else UNSET,
        network=network.derive(current, _sole_owners(joined, NET), joined.world.host[NET])
        if "network" in asked
        else UNSET,
        network_namespaces=spaces.derive(joined, _sole_owners(joined, NET))
        if "network" in asked
        else UNSET,
        tasks=tasks.derive(joined) if "tasks" in asked else UNSET,
        images=_images(current) if "images" in asked else UNSET,
        events=events.told(current) if "events" in asked else UNSET,
        errors=(*current.problems, *_remarks(joined)),
    )


def _containers(
    previous: Sample | None,
    joined: Joined,
    table: limits.Table,
    placed: Mapping[str, Placement],
) -> tuple[Container, ...]:
    found = layers.stacks(previous, joined.sample, joined.world.roots, joined.world.host[MNT])
    return containers.derive(joined, resources.meter(joined, table, previous), found, placed)


def _cgroup_owners(
    table: limits.Table, placed: Mapping[str, Placement]
) -> dict[tuple[str, str], str]:
    known = {
        (name, table.local(name, path)): container
        for (name, path), container in owners(placed).items()
    }
    return nearest(known, table.current)


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
