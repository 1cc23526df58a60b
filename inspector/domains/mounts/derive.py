"""Mounts of every mount namespace, and the container that each namespace belongs to."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from collectors.kernel import filesystems, mounts
from collectors.kernel.mounts import MountInfo
from inspector.domains.mounts import tree
from inspector.domains.mounts.model import Mount, MountedFilesystem
from inspector.memos import Memos
from inspector.sample import Sample, differing


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
    memo, rows = memos.memo("mounts", tuple[Mount, ...]), memos.one(_Rows)
    if (
        rows.frame == memos.frame - 1
        and rows.owners is owners
        and rows.view is view
        and differing(rows.spaces, spaces) == []
    ):
        memo.keep()
        rows.frame = memos.frame
        return rows.rows
    rows.frame, rows.owners, rows.view, rows.spaces = memos.frame, owners, view, spaces
    rows.rows = tuple(
        chain.from_iterable(
            memo.of(space.namespace, inputs, partial(_namespace, *inputs))
            for space in spaces
            for inputs in ((space.namespace, space.mounts, owners.get(space.namespace), view),)
        )
    )
    return rows.rows


class _Rows:
    """Those of the frame before, and what they were made from."""

    def __init__(self) -> None:
        self.frame = 0
        self.owners: Mapping[int, str] | None = None
        self.view: object = None
        self.spaces: Sequence[mounts.NamespaceMounts] = ()
        self.rows: tuple[Mount, ...] = ()


def of_filesystems(
    current: Sample, listed: tuple[Mount, ...], memos: Memos | None = None
) -> tuple[MountedFilesystem, ...]:
    """Return what is mounted as a root, a volume or memory, each filesystem once, in the order of its mounts."""
    reading = current.get(filesystems.KEY)
    return (
        (memos or Memos())
        .memo("filesystems", tuple[MountedFilesystem, ...])
        .of("", (reading, listed), lambda: _filesystems(reading, listed))
    )


def _filesystems(
    reading: filesystems.FilesystemsReading | None, listed: Sequence[Mount]
) -> tuple[MountedFilesystem, ...]:
    told = {one.device: one for one in reading.filesystems} if reading else {}
    first: dict[str, Mount] = {}
    users: dict[str, dict[str, None]] = {}
    for mount in listed:
        if mount.kind not in {"root", "volume", "tmpfs"}:
            continue
        first.setdefault(mount.device, mount)
        if mount.container is not None:
            users.setdefault(mount.device, {})[mount.container] = None
    return tuple(
        MountedFilesystem(
            device=device,
            fstype=mount.fstype,
            source=mount.source,
            size_bytes=said.size_bytes if said else None,
            used_bytes=said.used_bytes if said else None,
            available_bytes=said.available_bytes if said else None,
            inodes=said.inodes if said else None,
            inodes_used=said.inodes_used if said else None,
            containers=tuple(users.get(device, ())),
        )
        for device, mount in first.items()
        for said in (told.get(device),)
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
        device=mount.device,
        depth=depth,
        kind=kind,
        host_path=view.path(mount) if kind in {"root", "volume"} else None,
        size_limit_bytes=tree.size_limit(mount),
        spreads=tree.propagation(mount),
    )
