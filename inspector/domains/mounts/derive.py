"""Mounts of every mount namespace, and the container that each namespace belongs to."""

from collections.abc import Mapping

from collectors.kernel import mounts
from inspector.domains.mounts.model import Mount
from inspector.sample import Sample


def derive(current: Sample, owners: Mapping[int, str]) -> tuple[Mount, ...]:
    """Return every mount; `owners` tells the container by mount namespace."""
    reading = current.get(mounts.KEY)
    return tuple(
        Mount(
            mount_id=mount.mount_id,
            parent_id=mount.parent_id,
            namespace=space.namespace,
            root=mount.root,
            mountpoint=mount.mountpoint,
            fstype=mount.fstype,
            source=mount.source,
            options=mount.options,
            super_options=mount.super_options,
            propagation=mount.propagation,
            container=owners.get(space.namespace),
            device=mount.device,
        )
        for space in (reading.namespaces if reading else ())
        for mount in space.mounts
    )
