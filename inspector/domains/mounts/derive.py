"""Mounts of every mount namespace, and the container that each namespace belongs to."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from collectors.kernel import mounts
from collectors.kernel.mounts import MountInfo
from inspector.domains.mounts import tree
from inspector.domains.mounts.model import Mount
from inspector.memos import Memos
from inspector.sample import Sample


def derive(
    current: Sample,
    owners: Mapping[int, str],
    host: int | None = None,
    memos: Memos | None = None,
) -> tuple[Mount, ...]:
    """Return every mount, each namespace's in tree order.

    `owners` tells the container by mount namespace, `host` which namespace is the host's.
    """
    memos = memos or Memos()
    reading = current.get(mounts.KEY)
    spaces = reading.namespaces if reading else ()
    hosts = next((one.mounts for one in spaces if one.namespace == host), ())
    view = memos.memo("host view", tree.HostView).of("", (hosts,), lambda: tree.HostView(hosts))
    memo = memos.memo("mounts", tuple[Mount, ...])
    return tuple(
        chain.from_iterable(
            memo.of(space.namespace, inputs, partial(_namespace, *inputs))
            for space in spaces
            for inputs in ((space.namespace, space.mounts, owners.get(space.namespace), view),)
        )
    )


def _namespace(
    namespace: int, listed: Sequence[MountInfo], container: str | None, view: tree.HostView
) -> tuple[Mount, ...]:
    return tuple(
        _mount(mount, depth, namespace, container, view) for depth, mount in tree.order(listed)
    )


def _mount(
    mount: MountInfo, depth: int, namespace: int, container: str | None, view: tree.HostView
) -> Mount:
    kind = tree.kind(mount)
    return Mount(
        mount_id=mount.mount_id,
        parent_id=mount.parent_id,
        namespace=namespace,
        root=mount.root,
        mountpoint=mount.mountpoint,
        fstype=mount.fstype,
        source=mount.source,
        options=mount.options,
        super_options=mount.super_options,
        propagation=mount.propagation,
        container=container,
        depth=depth,
        kind=kind,
        host_path=view.path(mount) if kind in {"root", "volume"} else None,
        size_limit_bytes=tree.size_limit(mount),
        spreads=tree.propagation(mount),
    )
