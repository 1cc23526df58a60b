"""Narrows a frame to some containers, and to the sections that were asked for."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType, structs

from inspector.domains.containers.model import Container
from inspector.frame import ON_REQUEST, SECTIONS, Frame

T = TypeVar("T")


def find(containers: Iterable[Container], reference: str) -> tuple[Container, ...]:
    """Return those that a reference means: by id, else by name, else by the beginning of the id."""
    listed = tuple(containers)
    for matches in (
        [one for one in listed if one.id == reference],
        [one for one in listed if one.name == reference],
        [one for one in listed if one.id.startswith(reference)],
        [one for one in listed if one.name.startswith(reference)],
    ):
        if matches:
            return tuple(matches)
    return ()


def narrow(frame: Frame, references: Sequence[str]) -> tuple[Frame, tuple[str, ...]]:
    """Return the frame with what belongs to these containers only, and the references that fit none.

    The frame must have its containers. Namespaces, mounts and interfaces stay when one of the
    containers is in their namespace and the host's processes are not.
    """
    containers = frame.containers if frame.containers is not UNSET else ()
    chosen: dict[str, Container] = {}
    unknown: list[str] = []
    for reference in references:
        found = find(containers, reference)
        chosen.update((one.id, one) for one in found)
        if not found:
            unknown.append(reference)
    spaces = _own_namespaces(frame, chosen.values())
    names = {one.name for one in chosen.values()} | set(chosen)
    images = {one.image for one in chosen.values()}
    return (
        structs.replace(
            frame,
            containers=tuple(chosen.values()),
            namespaces=_keep(frame.namespaces, lambda n: bool(set(n.containers) & set(chosen))),
            cgroups=_keep(frame.cgroups, lambda c: c.container in chosen),
            mounts=_keep(frame.mounts, lambda m: m.namespace in spaces),
            filesystems=_keep(frame.filesystems, lambda f: bool(set(f.containers) & set(chosen))),
            processes=_keep(frame.processes, lambda p: p.container in chosen),
            network=_keep(frame.network, lambda i: i.namespace in spaces),
            network_namespaces=_keep(frame.network_namespaces, lambda n: n.inode in spaces),
            images=_keep(frame.images, lambda i: i.name in images),
            tasks=_keep(frame.tasks, lambda t: t.container in chosen),
            events=_keep(frame.events, lambda e: e.container in names),
        ),
        tuple(unknown),
    )


def only(frame: Frame, sections: Collection[str]) -> Frame:
    """Return the frame without the sections that were not asked for."""
    left_out: list[str] = [name for name in (*SECTIONS, *ON_REQUEST) if name not in sections]
    if "mounts" in left_out:
        left_out.append("filesystems")
    if "network" in left_out:
        left_out.append("network_namespaces")
    return structs.replace(frame, **dict.fromkeys(left_out, UNSET))


def _own_namespaces(frame: Frame, containers: Iterable[Container]) -> set[int]:
    host = set(frame.host.init_namespaces.values())
    return {
        inode
        for container in containers
        for inode in container.namespaces.values()
        if inode is not None and inode not in host
    }


def _keep(
    items: tuple[T, ...] | UnsetType, wanted: Callable[[T], bool]
) -> tuple[T, ...] | UnsetType:
    return items if isinstance(items, UnsetType) else tuple(item for item in items if wanted(item))
