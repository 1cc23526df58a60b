"""Recorded hosts of several kernels and kinds: who is taken for a container there, and how far it is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import command

FIXTURES = Path(__file__).parent.parent / "fixtures"
MIB = 1 << 20
SEEN = {
    "hybrid-docker": (
        "hybrid",
        {("docker", "running", 2, 64 * MIB), ("docker", "running", 2, None), ("docker", "running", 1, None)},
    ),
    "v1-docker": (
        "v1",
        {("docker", "running", 2, 64 * MIB), ("docker", "running", 2, 16 * MIB), ("docker", "paused", 1, None)},
    ),
    "v2-systemd": (
        "unified",
        {("docker", "running", 2, 64 * MIB), ("docker", "running", 2, 16 * MIB), ("docker", "paused", 1, None)},
    ),
    "nested-v1": ("v1", {("docker", "running", 2, 256 * MIB)}),
    "nested-v2": ("unified", {(None, "running", 2, 256 * MIB)}),
    "hybrid-6.18": (
        "hybrid",
        {("cinspect", "running", 2, 64 * MIB), ("bubblewrap", "running", 2, None)},
    ),
    "no-root": ("hybrid", {("cinspect", "running", 2, 64 * MIB)}),
}  # fmt: skip
"""Of each: the mode of its cgroups, and its containers' engine, status, processes, memory limit."""


def recorded(name: str) -> Any:
    return command.dump("--host-root", str(FIXTURES / name), "dump")


def test_every_recorded_host_is_told_of_here() -> None:
    assert set(SEEN) == {path.parent.name for path in FIXTURES.glob("*/proc")}


@pytest.mark.parametrize("name", SEEN)
def test_a_recorded_host_has_the_containers_it_had(name: str) -> None:
    frame = recorded(name)
    mode, containers = SEEN[name]
    assert frame["host"]["cgroup"]["mode"] == mode
    found = [
        (
            each["engine"],
            each["status"],
            len(each["pids"]),
            each["resources"]["memory"]["limit_bytes"],
        )
        for each in frame["containers"]
    ]
    assert sorted(map(str, found)) == sorted(map(str, containers))


def test_without_root_what_is_known_is_the_same_and_the_rest_is_left_open() -> None:
    (more,) = (
        each for each in recorded("hybrid-6.18")["containers"] if each["engine"] == "cinspect"
    )
    (less,) = recorded("no-root")["containers"]
    for key in ("id", "pid", "pids", "status", "engine", "cgroups", "command"):
        assert less[key] == more[key]
    assert not less["namespaces"]
    assert less["shared_with_host"] == []
    assert less["security"]["uid_map"] in ([], None)
    assert "may not be read" in json.dumps(less["evidence"])
