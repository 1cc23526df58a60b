"""Opens the files of a container that does not run, to be written: as they are when it runs again.

Layers and volumes are mounted in a mount namespace of a thread's own and handed out as a detached
tree (open_tree(2)): no mount can be seen on the host, and the kernel takes them down with the last
descriptor, however this process ends.
"""

import asyncio
import os
import stat
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from runtime.errors import FailedPrecondition
from runtime.init import options, paths
from runtime.linux import constants, mounts, syscalls
from runtime.metadata.store import ContainerRecord
from runtime.proto.task import Mount
from runtime.shim import bundle, rootfs
from runtime.snapshots.overlay import Layers
from runtime.tasks.engine import Engine, require_root

_BINDS: Final = {"bind", "rbind"}
_PATIENCE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


@asynccontextmanager
async def root(engine: Engine, reference: str) -> AsyncGenerator[int]:
    """Yield the root directory of a stopped container, mounted for nobody else; it cannot start meanwhile.

    Its volumes are in it. What is a tmpfs or the kernel's when it runs is empty and read-only, and so is
    what its spec says is read-only. Raises `FailedPrecondition` for one that runs.
    """
    require_root("writing to a container that does not run")
    record = engine.resolve(reference)
    async with engine.lock(record.id):
        record = engine.store.container(record.id)
        found = engine.view(record).status
        if not record.ready or found != "stopped":
            raise FailedPrecondition(f"container {record.name} is {found}, not stopped")
        layers = engine.snapshotter.layers(record.id)
        await _unmounted(engine, record)
        spec = bundle.read_json(engine.paths.spec(record.id))
        if bundle.section(spec, "linux").get("uidMappings"):
            raise FailedPrecondition(
                f"container {record.name} has a user namespace, which maps its lower layers' ids "
                "when it runs: start it first"
            )
        # A process's threads share its mounts unless one leaves them (unshare(2)): it then ends.
        with ThreadPoolExecutor(1) as thread:
            try:
                tree = thread.submit(_assemble, layers, spec).result()
            except OSError as error:
                what = f"container {record.name}: its layers and volumes cannot be mounted"
                raise FailedPrecondition(f"{what}: {error.strerror}") from error
        try:
            yield tree
        finally:
            os.close(tree)


async def _unmounted(engine: Engine, record: ContainerRecord) -> None:
    """Wait for a shim that is about to unmount what has just ended."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while engine.snapshotter.mounted(record.id):
        if time.monotonic() > until:
            raise FailedPrecondition(f"container {record.name}: its layers are still mounted")
        await asyncio.sleep(_POLL_SECONDS)


def _assemble(layers: Layers, spec: dict[str, Any]) -> int:
    """Return a detached copy of the whole tree, which is put together where only this thread sees it."""
    place = layers.workdir
    syscalls.unshare(constants.CLONE_NEWNS)
    mounts.mount("", "/", flags=constants.MS_REC | constants.MS_PRIVATE)
    read_only = ("ro",) if bundle.section(spec, "root").get("readonly") else ()
    rootfs.mount_all(
        [Mount(type="overlay", source="overlay", options=(*layers.mount_options, *read_only))],
        place,
    )
    top = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _cover(top, spec.get("mounts") or ())
    finally:
        os.close(top)
    return mounts.open_tree(constants.AT_FDCWD, place, recursive=True)


def _cover(top: int, entries: Sequence[Mapping[str, Any]]) -> None:
    """Attach what a spec mounts: volumes as they are, an empty read-only place for all else."""
    empty: list[str] = []
    for entry in entries:
        destination = paths.clean(entry["destination"])
        if any(f"{destination}/".startswith(f"{above}/") for above in empty):
            continue
        chosen = options.parse(entry.get("options") or ())
        if not chosen.idmap and (chosen.bind or entry.get("type") in _BINDS):
            _bind(top, entry["source"], destination, chosen)
        else:
            empty.append(destination)
            _empty(top, destination)


def _bind(top: int, source: str, destination: str, chosen: options.Options) -> None:
    try:
        tree = mounts.open_tree(constants.AT_FDCWD, source, recursive=chosen.rbind)
    except OSError as error:
        raise FailedPrecondition(
            f"{source}, which is mounted on /{destination}: {error.strerror}"
        ) from error
    try:
        for change, recursive in ((chosen.attributes, False), (chosen.recursive, True)):
            mounts.set_attributes(
                tree, attributes=change.set, clear=change.clear, recursive=recursive
            )
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        _attach(tree, paths.make(top, destination, directory=directory))
    finally:
        os.close(tree)


def _empty(top: int, destination: str) -> None:
    try:
        place = paths.find(top, destination)
    except FileNotFoundError:
        return  # it is made at the start: nothing can be put there now
    tree = mounts.filesystem("tmpfs", {"mode": "555"}, attributes=constants.MOUNT_ATTR_RDONLY)
    try:
        _attach(tree, place)
    finally:
        os.close(tree)


def _attach(tree: int, place: int) -> None:
    try:
        mounts.move_mount(tree, place)
    finally:
        os.close(place)
