"""The embedded engine as an adapter shows it: real containers of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collectors.engines.embedded import EmbeddedEngine
from collectors.errors import Missing, Unavailable
from runtime.api import Runtime
from runtime.types import ContainerOptions


@pytest.fixture
async def directories(tmp_path):
    """Yield a root and a state directory; no container is left in them afterwards."""
    root, state = str(tmp_path / "root"), str(tmp_path / "state")
    yield root, state
    runtime = Runtime(root=root, state=state)
    for one in await runtime.containers():
        await runtime.remove(one.id, force=True)
    await runtime.close()


async def test_where_nothing_was_ever_run_it_is_missing_and_stays_so(tmp_path):
    root = tmp_path / "root"
    with pytest.raises(Missing) as raised:
        await EmbeddedEngine(root=str(root), state=str(tmp_path / "state")).collect()
    assert raised.value.path == str(root)
    assert os.listdir(tmp_path) == []


ASK = """
import asyncio, sys
from collectors.engines.embedded import EmbeddedEngine
before = set(sys.modules)
reading = asyncio.run(EmbeddedEngine(root=sys.argv[1], state=sys.argv[2]).collect())
loaded = sorted(name for name in set(sys.modules) - before if name.startswith("runtime."))
print(len(reading.containers), *loaded)
"""


def test_asking_an_engine_without_containers_loads_nothing_that_makes_them(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    command = [sys.executable, "-c", ASK, str(root), str(tmp_path / "state")]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    containers, *loaded = done.stdout.split()
    assert containers == "0"
    assert "runtime.watching" in loaded
    assert len(loaded) < 15, loaded
    assert not {"runtime.api", "runtime.tasks", "runtime.shim", "runtime.cgroups"} & set(loaded)


@pytest.mark.root
async def test_a_container_is_as_the_engine_itself_says(directories):
    root, state = directories
    runtime = Runtime(root=root, state=state)
    made = await runtime.create(
        ContainerOptions(image="@host", command=("sleep", "1000"), labels={"tier": "front"})
    )
    made = await runtime.start(made.id)
    reading = await EmbeddedEngine(root=root, state=state).collect()
    await runtime.close()
    (one,) = reading.containers
    assert (reading.name, reading.address) == ("cinspect", state)
    assert (one.id, one.name, one.engine) == (made.id, made.name, "cinspect")
    assert (one.status, one.pid, one.command) == ("running", made.pid, ("sleep", "1000"))
    assert one.labels == {"tier": "front"}
    assert one.image == "@host"
    assert (one.lowerdirs, one.upperdir, one.cgroup) == (("/",), made.upperdir, made.cgroup)
    assert one.shim is not None
    assert made.shim is not None
    assert (one.shim.pid, one.shim.address) == (made.shim.pid, made.shim.address)


@pytest.mark.root
async def test_every_event_is_told_once_and_those_before_the_first_reading_too(directories):
    root, state = directories
    runtime = Runtime(root=root, state=state)
    engine = EmbeddedEngine(root=root, state=state)
    made = await runtime.create(ContainerOptions(image="@host", command=("sleep", "1000")))
    await runtime.start(made.id)
    first = (await engine.collect()).events
    assert (await engine.collect()).events == ()
    await runtime.remove(made.id, force=True)
    second = (await engine.collect()).events
    assert (await engine.collect()).events == ()
    await runtime.close()
    topics = [one.topic for one in first if one.container == made.id]
    assert {"/containers/create", "/tasks/create", "/tasks/start"} <= set(topics)
    assert {"/tasks/exit", "/containers/delete"} <= {one.topic for one in second}
    assert not {one.topic for one in first if one.container == made.id} & {
        one.topic for one in second
    }
    every = [*first, *second]
    assert len(every) == len({(one.timestamp, one.topic) for one in every})


@pytest.mark.root
async def test_a_damaged_database_is_unavailable(directories, tmp_path):
    root, state = directories
    runtime = Runtime(root=root, state=state)
    made = await runtime.create(ContainerOptions(image="@host", command=("true",)))
    await runtime.remove(made.id, force=True)
    await runtime.close()
    (database,) = [name for name in os.listdir(root) if name.endswith(".db")]
    whole = (tmp_path / "root" / database).read_bytes()
    (tmp_path / "root" / database).write_bytes(b"no database" * 1000)
    try:
        with pytest.raises(Unavailable) as raised:
            await EmbeddedEngine(root=root, state=state).collect()
        assert raised.value.path == root
    finally:
        (tmp_path / "root" / database).write_bytes(whole)
