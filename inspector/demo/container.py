"""Starts and removes the demo container, on the embedded engine like any other one."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from inspector.errors import Failure
from runtime.api import Runtime
from runtime.errors import FailedPrecondition, NotFound
from runtime.types import HOST_IMAGE, Container, ContainerOptions, Resources, Volume

NAME: Final = "demo"
LABEL: Final = "cinspect.demo"
SCRIPT: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workload.sh")
_INSIDE: Final = "/usr/local/bin/cinspect-demo"

OPTIONS: Final = ContainerOptions(
    image=HOST_IMAGE,
    command=("/bin/sh", _INSIDE),
    volumes=(Volume(SCRIPT, _INSIDE, read_only=True),),
    name=NAME,
    hostname=NAME,
    env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"),
    auto_remove=True,
    resources=Resources(memory_bytes=128 << 20, cpus=0.5, pids_limit=64),
    labels={LABEL: "1"},
)


async def start(engine: Runtime, say: Callable[[str], None]) -> tuple[Container, bool]:
    """Return the running demo container and whether it is new: the one that runs already is not.

    A host that has no controller for its limits gets it without them, and is told so. Raises
    `Failure` when somebody else's container has its name.
    """
    found = await _find(engine)
    if found is not None and found.status == "running":
        return found, False
    if found is not None:
        await engine.remove(found.id, force=True)
    try:
        created = await engine.create(OPTIONS)
    except FailedPrecondition as failure:
        say(f"the demo runs without limits: {failure}")
        created = await engine.create(replace(OPTIONS, resources=Resources()))
    try:
        return await engine.start(created.id), True
    except BaseException:
        await engine.remove(created.id, force=True)
        raise


async def remove(engine: Runtime) -> bool:
    """Remove it; return whether there was one."""
    found = await _find(engine)
    if found is not None:
        await engine.remove(found.id, force=True)
    return found is not None


async def _find(engine: Runtime) -> Container | None:
    try:
        found = await engine.container(NAME)
    except NotFound:
        return None
    if found.labels.get(LABEL) != "1":
        raise Failure(
            f"a container named {NAME} is there and is no demo: rename or remove it first"
        )
    return found
