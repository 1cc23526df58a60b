"""What the kernel holds a container's first process to."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from collectors.kernel import security
from collectors.kernel.mounts import MountInfo
from collectors.kernel.namespaces import IdMap
from collectors.kernel.processes import Process
from inspector.discovery.world import FIRST, MNT, USER, Inodes
from inspector.domains.containers import capabilities
from inspector.domains.containers.model import IdMapping, Security
from inspector.join import Joined
from inspector.memos import Memos
from inspector.sample import Sample

_SECCOMP: Final[dict[int, Literal["disabled", "strict", "filter"]]] = {
    0: "disabled",
    1: "strict",
    2: "filter",
}


def made_from(
    joined: Joined, init: Process, inodes: Inodes | None, labelled: Mapping[int, str | None]
) -> "Made":
    """Return the first process's status, its namespaces and its mounts: what it is made from.

    `labelled` is told by `labels`.
    """
    return Made(
        init=init,
        listed=_mounts(joined, inodes),
        lsm=labelled.get(inodes[MNT] or 0) if inodes is not None else None,
        privileged=_privileged(joined, init, inodes),
        uid_map=_id_map(joined, inodes, "uid_map"),
        gid_map=_id_map(joined, inodes, "gid_map"),
    )


class Made(NamedTuple):
    """What it is made from."""

    init: Process
    listed: tuple[MountInfo, ...]
    lsm: str | None
    privileged: bool
    uid_map: tuple[IdMap, ...] | None
    gid_map: tuple[IdMap, ...] | None


def of(made: Made) -> Security:
    """Return it as the dump shows it."""
    init, listed = made.init, made.listed
    return Security(
        capabilities={
            "effective": capabilities.names(init.cap_effective),
            "permitted": capabilities.names(init.cap_permitted),
            "inheritable": capabilities.names(init.cap_inheritable),
            "bounding": capabilities.names(init.cap_bounding),
            "ambient": capabilities.names(init.cap_ambient),
        },
        seccomp=None if init.seccomp is None else _SECCOMP.get(init.seccomp),
        no_new_privs=init.no_new_privs,
        lsm=made.lsm,
        privileged=made.privileged,
        masked_paths=tuple(sorted({m.mountpoint for m in listed if _masks(m)})),
        readonly_paths=tuple(sorted({m.mountpoint for m in listed if _protects(m)})),
        uid_map=mappings(made.uid_map),
        gid_map=mappings(made.gid_map),
    )


def mappings(maps: Iterable[IdMap] | None) -> tuple[IdMapping, ...]:
    """Return a uid or gid map as the dump shows it."""
    return tuple(IdMapping(one.inside, one.outside, one.count) for one in maps or ())


def _mounts(joined: Joined, inodes: Inodes | None) -> tuple[MountInfo, ...]:
    if inodes is None or (inodes[MNT] == joined.world.host[MNT] and not joined.world.inside):
        return ()
    return joined.world.mounts.get(inodes[MNT] or 0, ())


def _below_kernel_files(mount: MountInfo) -> bool:
    return mount.mountpoint.startswith(("/proc/", "/sys/"))


def _masks(mount: MountInfo) -> bool:
    """Return whether it hides a path: /dev/null over a file, an empty read-only tmpfs over a directory.

    That is how the OCI runtime spec's maskedPaths are made.
    """
    if not _below_kernel_files(mount):
        return False
    if mount.root.rpartition("/")[2] == "null" and mount.fstype in {"devtmpfs", "tmpfs"}:
        return True
    return (
        mount.fstype == "tmpfs" and "ro" in mount.options and mount.mountpoint != "/sys/fs/cgroup"
    )


def _protects(mount: MountInfo) -> bool:
    """Return whether it is a part of /proc bound over itself read-only (readonlyPaths)."""
    return (
        mount.fstype == "proc" and "ro" in mount.options and mount.mountpoint.startswith("/proc/")
    )


def labels(sample: Sample, memos: Memos) -> Mapping[int, str | None]:
    """Return the label of each mount namespace's processes, where it was read."""
    reading = sample.get(security.KEY)
    said = reading.labels if reading is not None else ()
    return memos.memo("labels", dict[int, str | None]).of(
        "", (said,), lambda: {one.namespace: one.lsm for one in reversed(said)}
    )


def _privileged(joined: Joined, init: Process, inodes: Inodes | None) -> bool:
    """Return whether nothing that root of the host may do is taken away from it.

    That is what process 1 may have; seen from within a container, every capability there is.
    """
    first = joined.world.processes.get(1)
    most = capabilities.EVERY if joined.world.inside else first.cap_bounding if first else 0
    if not most or inodes is None or inodes[USER] != FIRST["user"]:
        return False
    return init.cap_effective & most == most and init.seccomp in {0, None}


def _id_map(
    joined: Joined, inodes: Inodes | None, which: Literal["uid_map", "gid_map"]
) -> tuple[IdMap, ...] | None:
    space = joined.world.namespaces.get(inodes[USER] or 0) if inodes else None
    if space is None:
        return None
    return space.uid_map if which == "uid_map" else space.gid_map
