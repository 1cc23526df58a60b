"""No adapter holds up the event loop, whatever it asks."""

import threading
import time

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from collectors.engines.containerd import ContainerdEngine
from collectors.engines.docker import DockerEngine
from collectors.engines.embedded import EmbeddedEngine
from collectors.engines.podman import PodmanEngine
from collectors.engines.runc_state import StateDirectory, StateEngine
from runtime.api import Runtime
from runtime.types import ContainerOptions
from runtime.watching import Watcher

pytestmark = [pytest.mark.engine, pytest.mark.root]


def path_of(engine):
    return engine.address.removeprefix("unix://")


async def test_docker(docker):
    engine = DockerEngine(path_of(docker))
    with blockbuster_ctx():
        for _ in range(2):
            await engine.collect()


async def test_podman(podman):
    engine = PodmanEngine(path_of(podman))
    with blockbuster_ctx():
        for _ in range(2):
            await engine.collect()


async def test_containerd(containerd):
    engine = ContainerdEngine(path_of(containerd))
    with blockbuster_ctx():
        for _ in range(3):
            await engine.collect()


async def test_state_directories(tmp_path):
    with blockbuster_ctx():
        await StateEngine("runc", [StateDirectory(str(tmp_path))]).collect()


async def test_the_embedded_engine_is_asked_in_another_thread(tmp_path, monkeypatch):
    """Its client blocks by design, on a loop of its own: there the watcher would see it too."""
    root, state = str(tmp_path / "root"), str(tmp_path / "state")
    runtime = Runtime(root=root, state=state)
    made = await runtime.create(ContainerOptions(image="@host", command=("true",)))
    await runtime.remove(made.id, force=True)
    threads = []
    containers = Watcher.containers

    def spy(self):
        threads.append(threading.get_ident())
        return containers(self)

    monkeypatch.setattr(Watcher, "containers", spy)
    await EmbeddedEngine(root=root, state=state).collect()
    await runtime.close()
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


async def test_a_call_that_blocks_would_be_seen():
    with blockbuster_ctx(), pytest.raises(BlockingError):
        time.sleep(0.01)
