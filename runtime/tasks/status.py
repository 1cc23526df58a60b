"""Tells a container's status from files and the kernel, without asking its shim."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import cast

from runtime.cgroups import freezer
from runtime.cgroups.manager import Manager
from runtime.cgroups.nothing import NoManager
from runtime.errors import FormatError, NotFound, RuntimeFailure, Unimplemented
from runtime.formats import cgroups_path
from runtime.metadata.store import ContainerRecord
from runtime.paths import Paths
from runtime.shim import bundle
from runtime.snapshots.overlay import Layers
from runtime.types import Container, ShimInfo, Status

RUNTIME_NAME = "io.containerd.cinspect.v1"


@dataclass(frozen=True, slots=True)
class View:
    """A container's state with what its status was told from."""

    state: bundle.State | None
    shim: bundle.Shim | None
    """The shim, if it lives."""
    status: Status
    error: str | None


def cgroups(record: ContainerRecord, state: bundle.State | None) -> Manager:
    """Return the cgroups of a container that was started."""
    path, systemd = _place(record.id, state)
    return Manager(path, whole=systemd) if path else NoManager()


def _place(container_id: str, state: bundle.State | None) -> tuple[str, bool]:
    """Return the path of a container's cgroups below each hierarchy's root, and if it is systemd's.

    Empty for one that has none: a user's, who may make none.
    """
    if state is None or state.cgroup is None:
        return cgroups_path.own(container_id), False
    return state.cgroup, bool(state.unit)


def view(paths: Paths, record: ContainerRecord) -> View:
    """Read what there is of a container: its shim's files, or what outlived them."""
    directory = paths.bundle(record.id)
    try:
        state = _state(paths, record.id)
        shim = _shim(directory)
    except (FormatError, OSError) as problem:
        return View(None, None, "stopped", str(problem))
    if state is None:
        interrupted = "it is being made, or that was interrupted"
        status: Status = "stopped" if record.ready else "created"
        return View(None, shim, status, record.error if record.ready else interrupted)
    if state.status == "stopped":
        return View(state, shim, "stopped", record.error)
    if state.alive():
        lost = None if shim is not None else "its shim is gone: it can only be killed and removed"
        return View(state, shim, _frozen(record.id, state), lost or record.error)
    if shim is None:
        return View(state, None, "stopped", "it ended when no shim was there to see how")
    # its shim is about to take note
    return View(state, shim, cast("Status", state.status), record.error)


def _state(paths: Paths, container_id: str) -> bundle.State | None:
    for path in (
        os.path.join(paths.bundle(container_id), "state.json"),
        paths.exit(container_id),
    ):
        try:
            return bundle.State.load(path)
        except NotFound:
            continue
    return None


def _shim(directory: str) -> bundle.Shim | None:
    try:
        shim = bundle.Shim.load(directory)
    except NotFound:
        return None
    return shim if shim.alive() else None


def _frozen(container_id: str, state: bundle.State) -> Status:
    """The freezer's word counts: not only a shim can freeze."""
    if state.status == "created":
        return "created"
    if state.cgroup == "":
        return cast("Status", state.status)
    try:
        return "paused" if _freezer(*_place(container_id, state)).frozen() else "running"
    except (RuntimeFailure, OSError):
        return cast("Status", state.status)


def _freezer(path: str, systemd: bool) -> freezer.Freezer:  # noqa: FBT001 - of `_place`
    parent, name = os.path.split(path)
    first, second = _parents(parent, systemd)
    if first is not None:
        return freezer.FirstFreezer(f"{first}/{name}")
    if second is not None:
        return freezer.SecondFreezer(f"{second}/{name}")
    raise Unimplemented("this host has no freezer")


@cache
def _parents(parent: str, systemd: bool) -> tuple[str | None, str | None]:  # noqa: FBT001 - of `_place`
    """Return where the containers' freezers of v1 and of v2 are; found once, a host keeps them."""
    manager = Manager(parent, whole=systemd)
    return manager.directory("freezer"), manager.directories().get("unified")


def container(paths: Paths, record: ContainerRecord, layers: Mapping[str, Layers]) -> Container:
    """Return what the API shows of a container."""
    seen = view(paths, record)
    state, shim = seen.state, seen.shim
    live = state is not None and seen.status != "stopped"
    own = layers.get(record.id)
    place, systemd = _place(record.id, state)
    return Container(
        id=record.id,
        name=record.name,
        namespace=paths.namespace,
        image=record.image,
        rootfs=record.rootfs,
        labels=record.labels,
        command=record.command,
        status=seen.status,
        created_at=_required(record.created_at),
        started_at=None if state is None else _moment(state.started_at),
        finished_at=None if state is None or live else _moment(state.finished_at),
        exit_code=None if state is None or live else state.exit_code,
        pid=state.pid if state is not None and live else None,
        shim=None if shim is None else ShimInfo(shim.pid, shim.address, bundle.SHIM_VERSION),
        bundle=paths.bundle(record.id),
        log_path=paths.log(record.id),
        cgroup=place,
        cgroup_manager=("systemd" if systemd else "cgroupfs") if place else None,
        lowerdirs=() if own is None else own.lowerdirs,
        upperdir=None if own is None else own.upperdir,
        workdir=None if own is None else own.workdir,
        runtime=RUNTIME_NAME,
        error=seen.error,
    )


def _moment(nanoseconds: int | None) -> datetime | None:
    return None if nanoseconds is None else _required(nanoseconds)


def _required(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
