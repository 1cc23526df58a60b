"""Makes containers and starts them."""

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any

from runtime import identifiers, paths
from runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    FormatError,
    InvalidArgument,
    NotFound,
    RuntimeFailure,
)
from runtime.metadata.store import ContainerRecord
from runtime.oci import build, host
from runtime.proto import task
from runtime.shim import bundle, manager
from runtime.snapshots import trees
from runtime.snapshots.overlay import Layers
from runtime.tasks import network_files, removal, status
from runtime.tasks.client import TaskClient
from runtime.tasks.engine import Engine
from runtime.types import HOST_IMAGE, ContainerOptions, Stdio


async def create(engine: Engine, options: ContainerOptions, stdio: Stdio) -> ContainerRecord:
    """Make a container and its init, which waits.

    The record comes first: whatever happens then, `remove` finds by it what was made.
    """
    lowerdirs = _lowerdirs(options)
    container_id = identifiers.new_id()
    spec = build.build(
        options, container_id=container_id, host=host.read(), taken_ids=_taken_ids(engine, options)
    )
    directory = engine.paths.container(container_id)
    # First of all: whatever the root has, they cover nothing of the kernel's filesystems.
    spec["mounts"][:0] = network_files.mounts(options, directory=directory, rootfs=lowerdirs[0])
    record = _register(engine, options, container_id)
    removal.sweep(engine)
    engine.publish(
        "/containers/create",
        {
            "id": record.id,
            "image": record.image or "",
            "runtime": {"name": status.RUNTIME_NAME},
        },
    )
    async with engine.lock(record.id) as lock:
        done = False
        try:
            engine.store.container(record.id)  # nobody removed it before the lock was had
            layers = engine.snapshotter.prepare(record.id, lowerdirs)
            engine.publish(
                "/snapshot/prepare", {"key": record.id, "parent": "", "snapshotter": "overlayfs"}
            )
            bundle.write_json(engine.paths.spec(record.id), spec)
            network_files.write(options, spec, directory=directory)
            await launch(engine, record, spec=spec, layers=layers, stdio=stdio, lock=lock)
            engine.store.update(record.id, ready=True)
            done = True
        finally:
            if not done:
                await removal.take_down(engine, record)
                removal.discard(engine, record)
    return engine.store.container(record.id)


def _lowerdirs(options: ContainerOptions) -> tuple[str, ...]:
    if (options.image is None) == (options.rootfs is None):
        raise InvalidArgument("a container is made of an image or of a root directory: give one")
    if options.rootfs is not None:
        rootfs = os.path.abspath(options.rootfs)
        if not os.path.isdir(rootfs):
            raise NotFound(f"root directory {rootfs} does not exist, or is no directory")
        return (rootfs,)
    if options.image == HOST_IMAGE:
        return ("/",)
    raise NotFound(f"no image {options.image!r}; {HOST_IMAGE} is always there")


def _taken_ids(engine: Engine, options: ContainerOptions) -> list[int]:
    """Return the first host ids of the user namespaces that the other containers have."""
    taken: list[int] = []
    for record in engine.store.containers() if options.userns == "auto" else ():
        try:
            linux: dict[str, Any] = bundle.read_json(engine.paths.spec(record.id))["linux"]
        except (NotFound, FormatError):
            continue  # it is being made, or was interrupted
        mappings: list[dict[str, int]] = linux.get("uidMappings", [])
        taken.extend(each["hostID"] for each in mappings)
    return taken


def _register(engine: Engine, options: ContainerOptions, container_id: str) -> ContainerRecord:
    """Add the record, under the name that was asked for or one that is free."""
    taken = {record.name for record in engine.store.containers()}
    while True:
        name = options.name or identifiers.new_name(taken)
        record = ContainerRecord(
            id=container_id,
            name=identifiers.check_name(name),
            image=options.image,
            rootfs=options.rootfs,
            labels=options.labels,
            command=options.command,
            auto_remove=options.auto_remove,
            created_at=time.time_ns(),
        )
        try:
            engine.store.add(record)
        except AlreadyExists:
            if options.name is not None:
                raise
            taken.add(name)
        else:
            return record


async def launch(
    engine: Engine,
    record: ContainerRecord,
    *,
    spec: Mapping[str, Any],
    layers: Layers,
    stdio: Stdio,
    lock: int,
) -> None:
    """Write a bundle, start its shim and let it make the init. The lock is held."""
    directory = engine.paths.bundle(record.id)
    _prepare_directories(engine, directory)
    bundle.write_json(os.path.join(directory, "config.json"), spec)
    _home(engine, record).save(directory)
    paths.make_private(os.path.dirname(engine.paths.socket(record.id)))
    address = await engine.start_shim(record.id, lock=lock)
    client = await TaskClient.connect(address, record.id)
    engine.hold(record.id, client)
    terminal = bool(spec["process"]["terminal"])
    mount = task.Mount(type="overlay", source="overlay", options=layers.mount_options)
    await client.create(
        task.CreateTaskRequest(
            id=record.id,
            bundle=directory,
            rootfs=[mount],
            terminal=terminal,
            stdin=stdio.stdin or "",
            stdout=stdio.stdout or "",
            stderr=stdio.stderr or "",
        )
    )


def _prepare_directories(engine: Engine, directory: str) -> None:
    """Make the bundle; those above let a container's mapped root pass, and nobody list."""
    os.makedirs(engine.paths.state, mode=0o755, exist_ok=True)
    os.makedirs(os.path.dirname(directory), mode=0o711, exist_ok=True)
    os.mkdir(directory, 0o711)
    os.mkdir(os.path.join(directory, "rootfs"), 0o711)


def _home(engine: Engine, record: ContainerRecord) -> bundle.Home:
    where = engine.paths
    cleanup = manager.interpreter(
        "from runtime.tasks.removal import main; main()",
        where.root,
        where.state,
        where.namespace,
        record.id,
    )
    return bundle.Home(
        log=where.log(record.id),
        journal=where.journal,
        exit_path=where.exit(record.id),
        seccomp_cache=os.path.join(where.state, "seccomp"),
        cleanup=cleanup if record.auto_remove else (),
    )


async def start(engine: Engine, reference: str, stdio: Stdio | None = None) -> ContainerRecord:
    """Let a created container's command run; start a stopped one anew on its layers."""
    record = engine.resolve(reference)
    async with engine.lock(record.id) as lock:
        record = engine.store.container(record.id)
        if not record.ready:
            raise FailedPrecondition(
                f"making container {record.name} was interrupted: it can only be removed"
            )
        found = engine.view(record).status
        if found == "running" and stdio is None:
            return record  # as asked for, and as Docker answers
        if found in {"running", "paused"}:
            raise FailedPrecondition(f"container {record.name} is {found} already")
        if found == "stopped" or stdio is not None:
            await _again(engine, record, lock=lock, stdio=stdio or Stdio())
        try:
            async with await engine.connect(record.id) as client:
                await client.start()
        except RuntimeFailure as error:
            engine.store.update(record.id, error=str(error))
            raise
        if record.error is not None:
            engine.store.update(record.id, error="")
    return engine.store.container(record.id)


async def _again(engine: Engine, record: ContainerRecord, *, lock: int, stdio: Stdio) -> None:
    """Make a new task on the layers of a container that has stopped or never ran."""
    await removal.take_down(engine, record)
    trees.remove(engine.paths.bundle(record.id))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(engine.paths.exit(record.id))
    done = False
    try:
        await launch(
            engine,
            record,
            spec=bundle.read_json(engine.paths.spec(record.id)),
            layers=engine.snapshotter.layers(record.id),
            stdio=stdio,
            lock=lock,
        )
        done = True
    finally:
        if not done:
            await removal.take_down(engine, record)
            trees.remove(engine.paths.bundle(record.id))
