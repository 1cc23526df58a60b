"""The embedded engine's own words of its containers beside what a dump says of them."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import pytest

from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed
from tests.live.engine import Engine

pytestmark = [pytest.mark.root]

CLAIMED: Final = (
    *("id", "name", "engine", "engine_namespace", "image", "labels", "command", "status"),
    *("created_at", "runtime", "rootfs"),
)
OF_RUNNING: Final = ("pid", "pids", "started_at", "shim.pid", "shim.address", "cgroups")
OF_ENDED: Final = ("finished_at", "exit_code")


@pytest.fixture(scope="module")
def started(engine: Engine) -> Iterator[Mapping[str, str]]:
    """Return the ids of containers, by their states."""
    words = ("--label", "tier=front", "--label", 'odd=a "b"\t=c', "@host", "sh", "-c")
    ids = {
        "running": engine("run", "-d", *words, "while :; do sleep 1; done"),
        "paused": engine("run", "-d", *words, "sleep 1000"),
        "ended": engine("run", "-d", *words, "exit 3"),
        "created": engine("create", *words, "true"),
    }
    try:
        engine("freeze", ids["paused"])
        engine("wait", ids["ended"])
        yield ids
    finally:
        engine.cinspect("thaw", ids["paused"])
        engine("rm", "--force", *ids.values())


def compare(said: Words, frame: Dump) -> Table:
    """Return what `cinspect inspect` says of a container beside the dump."""
    one = find(frame, said["id"])
    runs = said["status"] in {"running", "paused"}
    table = Table(f"cinspect: {said['name']}, {said['status']}")
    for key in CLAIMED[:-3]:
        table.same(key, said[key], one[key])
    table.same("runtime", said["runtime"], one["runtime"])
    table.time("created", said["created_at"], one["created_at"])
    layers = one["rootfs"]["layers"]
    for role in ("lower", "upper"):
        paths = [layer["path"] for layer in layers if layer["role"] == role]
        told = said["layers"][role]
        table.same(role, told if isinstance(told, list) else [told], paths)
    if runs:
        table.same("pid", said["pid"], one["pid"])
        table.same("first process", True, said["pid"] in one["pids"])
        table.time("started", said["started_at"], one["started_at"], within=1)
        table.same("shim", said["shim"]["pid"], one["shim"]["pid"])
        table.same("shim's address", said["shim"]["address"], one["shim"]["address"])
        # On v1 it need not be in each hierarchy; with systemd's driver its processes may be one below.
        own = sorted(path for path in one["cgroups"].values() if path != "/")
        top = said["cgroup"]
        inside = [top if f"{path}/".startswith(f"{top}/") else path for path in own]
        table.same("cgroups", [top] * len(own), inside)
        table.same("some cgroup", True, bool(own))
    if said["status"] == "stopped":
        table.same("exit code", said["exit_code"], one["exit_code"])
        table.time("finished", said["finished_at"], one["finished_at"])
    return table


def test_the_engine_and_the_dump_say_the_same(
    engine: Engine, started: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    frame = engine.dump("--section", "containers")
    for state, identifier in started.items():
        (said,) = json.loads(engine("inspect", identifier))
        table = compare(said, frame)
        table.show(capsys)
        assert table.differing() == []
        more = {"running": OF_RUNNING, "paused": OF_RUNNING, "ended": OF_ENDED}.get(state, ())
        assert unnoticed(partial(compare, said), frame, identifier, (*CLAIMED, *more)) == []
