"""How a container's image was made: the engines' own words beside ours."""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from collectors.engines.docker import DockerEngine
from collectors.engines.podman import PodmanEngine
from tests.command import eventually
from tests.engines import daemons, seen
from tests.engines.daemons import Engine
from tests.engines.test_podman import LIMITS

pytestmark = [pytest.mark.engine, pytest.mark.root]

NAME: Final = "cinspect-history:1"
CHANGES: Final = ("ENV A=1", 'LABEL odd="a b"', "CMD sleep 1000")


@pytest.fixture(scope="module", params=("docker", "podman"))
def made(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, str]]:
    """Return an engine, and a container in it of an image that was made in two steps."""
    engine: Engine = request.getfixturevalue(request.param)
    limits = LIMITS if request.param == "podman" else ()
    words = ("--network", "none", *limits)
    first = engine("run", "-d", *words, daemons.IMAGE, "sh", "-c", "echo made > /made")
    engine("wait", first)
    changes = [word for change in CHANGES for word in ("--change", change)]
    engine("commit", *changes, "--author", "a", first, NAME)
    identifier = engine("run", "-d", *words, NAME, "sleep", "1000")
    try:
        yield engine, identifier
    finally:
        engine("rm", "--force", first, identifier)
        engine("rmi", NAME)


def history_of(engine: Engine) -> list[Any]:
    """Return the engine's own list, the first step first."""
    if engine.command[0] == "podman":
        return list(engine.json("inspect", "--type", "image", NAME)[0]["History"])
    lines = engine("history", "--no-trunc", "--format", "{{json .}}", NAME).splitlines()
    return [json.loads(line) for line in reversed(lines)]


async def history_told(engine: Engine, identifier: str) -> list[Any]:
    """Return what the adapter tells: without the deadline of a dump, which a loaded host can miss."""
    assert engine.address
    make = PodmanEngine if engine.command[0] == "podman" else DockerEngine
    reading = await make(engine.address.removeprefix("unix://")).collect()
    (one,) = [one for one in reading.containers if one.id == identifier]
    told: list[Any] = msgspec.to_builtins(one.image_history)
    return told


async def test_the_engine_and_the_adapter_say_the_same(made: tuple[Engine, str]) -> None:
    engine, identifier = made
    said = history_of(engine)
    told = await history_told(engine, identifier)
    assert len(told) == len(said) >= 2
    for step, theirs in zip(told, said, strict=True):
        assert step["created_by"] == theirs.get("CreatedBy", theirs.get("created_by", ""))
        assert step["comment"] == theirs.get("Comment", theirs.get("comment", ""))
        created = theirs.get("CreatedAt") or theirs["created"]
        assert step["created_at"][:19] == created[:19]


@pytest.mark.parametrize("made", ["docker"], indirect=True)
def test_containerd_tells_the_same_of_an_image_of_dockers(
    made: tuple[Engine, str], containerd: Engine
) -> None:
    engine, _ = made
    archive = containerd.scratch / "history.tar"
    engine("save", NAME, "--output", str(archive))
    containerd("images", "import", str(archive))
    name, fifos = "cinspect-history", f"{containerd.scratch}/fifos"
    try:
        reference = f"docker.io/library/{NAME}"
        containerd("run", "-d", "--fifo-dir", fifos, reference, name, "/bin/sleep", "1000")
        told = eventually(lambda: seen.container(name, containerd.environment)["image_history"])
    finally:
        containerd("tasks", "rm", "--force", name, check=False)
        containerd("containers", "rm", name, check=False)
    said = history_of(engine)
    assert [one["created_by"] for one in told] == [one["CreatedBy"] for one in said]
    assert [one["empty_layer"] for one in told] == [False, False]
