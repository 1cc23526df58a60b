"""Takes a container down to nothing, whatever state an interrupted command left it in."""

import asyncio
import contextlib
import os
import signal
import time
from typing import Final

from runtime.errors import FailedPrecondition, NotFound, RuntimeFailure
from runtime.metadata.store import ContainerRecord
from runtime.shim import bundle, remains
from runtime.snapshots import trees
from runtime.tasks.client import TaskClient
from runtime.tasks.engine import Engine

_SHIM_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.005


async def remove(engine: Engine, reference: str, *, force: bool) -> None:
    """Remove a container; one that runs needs `force`, else raises `FailedPrecondition`."""
    record = engine.resolve(reference)
    async with engine.lock(record.id):
        # whoever held the lock before may have removed it
        record = engine.store.container(record.id)
        status = engine.view(record).status
        if status in {"running", "paused"} and not force:
            raise FailedPrecondition(
                f"container {record.name} is {status}: stop it, or remove it by force (rm -f)"
            )
        await take_down(engine, record)
        discard(engine, record)


async def take_down(engine: Engine, record: ContainerRecord) -> None:
    """End a container's task: its processes, shim, cgroups and mounts; the layers stay.

    The shim is asked first, so that events are told in order; what it does not do in time, or what
    there is no shim for, is done from here.
    """
    await engine.release(record.id)
    directory = engine.paths.bundle(record.id)
    try:
        shim: bundle.Shim | None = bundle.Shim.load(directory)
    except RuntimeFailure:
        shim = None
    if shim is not None and shim.alive():
        # a shim that hangs, or is ending just now, is no reason to fail
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(_SHIM_SECONDS):
                await _ask(engine, record.id)
        await _end(shim)
    # kills and waits by polling: off the loop
    await asyncio.to_thread(remains.clean, directory, record.id)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(engine.paths.socket(record.id))


async def _ask(engine: Engine, container_id: str) -> None:
    async with await engine.connect(container_id) as client:
        try:
            state = await client.state()
        except NotFound:
            pass  # it was interrupted before it had a container
        else:
            await _finish(client, state.status)
        await client.shutdown()


async def _finish(client: TaskClient, status: int) -> None:
    with contextlib.suppress(NotFound, FailedPrecondition):
        await client.kill(signal.SIGKILL)
    if status in {4, 5}:
        with contextlib.suppress(NotFound, FailedPrecondition):
            await client.resume()
    await client.wait()
    await client.delete()


async def _end(shim: bundle.Shim) -> None:
    """Wait a moment for a shim that was asked to end, then kill it."""
    deadline = time.monotonic() + 2
    while shim.alive():
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(shim.pid, signal.SIGKILL)
            deadline += 2
        await asyncio.sleep(_POLL_SECONDS)


def discard(engine: Engine, record: ContainerRecord) -> None:
    """Remove a stopped container's layers, files and, last, its record."""
    trees.remove(engine.paths.bundle(record.id))
    try:
        engine.snapshotter.remove(record.id)
        engine.publish("/snapshot/remove", {"key": record.id, "snapshotter": "overlayfs"})
    except NotFound:
        pass
    # the directory itself is the lock: it goes after the record, and is empty by then
    trees.empty(engine.paths.container(record.id))
    engine.store.delete(record.id)
    trees.remove(engine.paths.container(record.id))
    engine.publish("/containers/delete", {"id": record.id})


def sweep(engine: Engine) -> None:
    """Remove the empty directories of containers whose removal was interrupted at its very end."""
    parent = engine.paths.container("")
    try:
        names = os.listdir(parent)
    except FileNotFoundError:
        return
    # looked at after the directory: a record is always there before its directory is
    known = {record.id for record in engine.store.containers()}
    for name in names:
        if name not in known:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(parent, name))


def main() -> None:
    """Remove one container that has ended: `ROOT STATE NAMESPACE ID`, run by its shim."""
    import sys  # noqa: PLC0415  # only here

    from runtime.paths import Paths  # noqa: PLC0415  # only here

    root, state, namespace, container_id = sys.argv[1:]
    engine = Engine(Paths(root, state, namespace))
    with contextlib.suppress(NotFound):  # its client was faster
        asyncio.run(remove(engine, container_id, force=True))
