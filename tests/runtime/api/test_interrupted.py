"""A client may be killed at any moment: `remove` takes away whatever it had made."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from runtime.api import Runtime

pytestmark = [pytest.mark.root, pytest.mark.timeout(110)]

CLIENT = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from runtime.api import Runtime
from runtime.types import ContainerOptions
from runtime.snapshots import overlay
from runtime.metadata import store
from runtime.shim import bundle, manager
from runtime.tasks import client

stage = sys.argv[3]

def die_after(owner, name):
    original = getattr(owner, name)
    def wrapped(*a, **k):
        result = original(*a, **k)
        if asyncio.iscoroutine(result):
            async def finish():
                value = await result
                os.kill(os.getpid(), 9)
                return value
            return finish()
        os.kill(os.getpid(), 9)
        return result
    setattr(owner, name, wrapped)

def die_before(owner, name):
    setattr(owner, name, lambda *a, **k: os.kill(os.getpid(), 9))

if "." in stage:
    when, where, name = stage.split(".")
    owner = {"store": store.Store, "overlay": overlay.OverlaySnapshotter, "bundle": bundle, "home": bundle.Home,
             "manager": manager, "client": client.TaskClient}[where]
    (die_after if when == "after" else die_before)(owner, name)

async def main():
    engine = Runtime(root=sys.argv[2] + "/root", state=sys.argv[2] + "/state")
    if stage.startswith("warm"):
        await engine.warm()
    print("go", flush=True)
    made = await engine.create(ContainerOptions(image="@host", command=("sleep", "1000"), name="victim"))
    await engine.start(made.id)
    if stage in {"remove", "warm-remove"} or "." in stage:
        await engine.remove(made.id, force=True)
    print("done", flush=True)

asyncio.run(main())
"""

STAGES = [
    "after.store.add",
    "before.overlay.prepare",
    "after.overlay.prepare",
    "before.bundle.write_json",
    "after.home.save",
    "before.manager.start",
    "after.manager.start",
    "before.client.create",
    "after.client.create",
    "before.store.update",
    "after.store.update",
    "before.client.start",
    "after.client.start",
    "before.client.kill",
    "after.client.kill",
    "before.client.delete",
    "after.client.delete",
    "before.overlay.remove",
    "after.overlay.remove",
    "before.store.delete",
    "after.store.delete",
]


def begin(place, root, stage):
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, root, place, stage], stdout=subprocess.PIPE, text=True
    )


async def remove_all(place):
    """Do what a user does who finds the container: remove it by its name."""
    engine = Runtime(root=f"{place}/root", state=f"{place}/state")
    for container in await engine.containers():
        await engine.remove(container.name, force=True)
    assert await engine.containers() == ()
    await engine.close()


def left(place):
    """Return what there is of containers below the engine's directories."""
    found = []
    for directory in (
        "root/snapshots",
        "root/containers/default",
        "state/tasks/default",
        "state/s",
    ):
        path = f"{place}/{directory}"
        found += [
            f"{directory}/{name}" for name in (os.listdir(path) if os.path.isdir(path) else ())
        ]
    return found


@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_killed_at_a_stage_leaves_what_remove_takes_away(place, request, stage):
    client = begin(place, str(request.config.rootpath), stage)
    client.communicate(timeout=60)
    assert client.returncode == -signal.SIGKILL, "the stage was not reached"
    await remove_all(place)
    if stage == "after.store.delete":  # an empty directory is left, until the next creation
        (directory,) = left(place)
        assert os.listdir(f"{place}/{directory}") == []
        begin(place, str(request.config.rootpath), "remove").communicate(timeout=60)
    await remove_all(place)
    assert left(place) == []


@pytest.mark.parametrize("kind", ["create", "remove", "warm", "warm-remove"])
async def test_a_client_killed_at_any_moment_leaves_what_remove_takes_away(place, request, kind):
    seed = int(os.environ.get("CINSPECT_TEST_SEED", "1"))
    chance = random.Random(f"{seed}{kind}")
    for _ in range(12):
        client = begin(place, str(request.config.rootpath), kind)
        client.stdout.readline()
        await asyncio.sleep(chance.uniform(0, 0.35))
        client.kill()
        client.communicate()
        await remove_all(place)
        # an empty directory is what a removal leaves that is killed at its very end
        assert [
            each for each in left(place) if each.count("/") != 3 or os.listdir(f"{place}/{each}")
        ] == []
    begin(place, str(request.config.rootpath), "remove").communicate(timeout=60)
    assert left(place) == []


async def test_a_detached_container_that_is_to_be_removed_goes_without_any_client(place, request):
    code = CLIENT.replace('name="victim"', 'name="victim", auto_remove=True').replace(
        '"sleep", "1000"', '"sleep", "0.3"'
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(request.config.rootpath), place, "run"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "done" in client.communicate(timeout=60)[0]
    deadline = time.monotonic() + 20
    while left(place) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert left(place) == []


async def test_a_client_that_waits_may_be_killed_and_its_container_is_removed(place, request):
    code = (
        CLIENT.replace('name="victim"', 'name="victim", auto_remove=True')
        .replace('"sleep", "1000"', '"sleep", "0.5"')
        .replace('print("done"', 'await engine.wait(made.id); print("done"')
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(request.config.rootpath), place, "run"],
        stdout=subprocess.PIPE,
        text=True,
    )
    while not os.path.isdir(f"{place}/state/s") or not os.listdir(f"{place}/state/s"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    client.kill()
    client.communicate()
    deadline = time.monotonic() + 20
    while left(place) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    await remove_all(place)  # killed before its start, it would still be there
    assert left(place) == []
