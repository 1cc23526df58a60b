"""The embedded engine's containers in scopes of systemd's, and in cgroups of the engine's own."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.api import Runtime
from tests import command, requirements, traces
from tests.live import host
from tests.live.engine import Engine

pytestmark = pytest.mark.root

SYSTEMD = ("--cgroup-manager", "systemd")
BOOTED = Path("/run/systemd/system")


@pytest.fixture
def systemd() -> Iterator[None]:
    """Need a host whose first process is systemd; every scope is gone in the end."""
    if not BOOTED.is_dir():
        requirements.absent_here("systemd is not the first process of this host")
    before = scopes()
    yield
    assert scopes() <= before


def scopes() -> set[str]:
    """Return the engine's units, failed ones too."""
    options = ("--all", "--plain", "--no-legend", "--type=scope", "cinspect-*")
    return {line.split()[0] for line in systemctl("list-units", *options).splitlines()}


def systemctl(*arguments: str) -> str:
    return subprocess.run(
        ("systemctl", *arguments), check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def value(unit: str, name: str) -> str:
    return systemctl("show", "--property", name, "--value", unit)


def scope(identifier: str) -> str:
    return f"cinspect-{identifier}.scope"


def manager(engine: Engine, identifier: str) -> str | None:
    """Return who the engine itself says has made a container's cgroups."""

    async def ask() -> str | None:
        runtime = Runtime(root=str(engine.data), state=str(engine.state))
        try:
            return (await runtime.container(identifier)).cgroup_manager
        finally:
            await runtime.close()

    return asyncio.run(ask())


def too_slow(engine: Engine) -> bool:
    """Tell whether a dump lets the engine be here: in an emulated machine loading it takes seconds."""
    errors = engine.dump("--section", "containers")["errors"]
    return any(each["error"] == "timeout" for each in errors)


def cgroups_of(pid: int) -> set[str]:
    """Return the different paths of a process's cgroups (cgroups(7), /proc/PID/cgroup)."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[2] for line in lines}


@pytest.mark.usefixtures("systemd")
def test_its_processes_are_in_a_scope_and_nothing_else_is(engine: Engine) -> None:
    with engine.running("sleep", "1000", options=SYSTEMD) as identifier:
        unit = scope(identifier)
        assert value(unit, "ActiveState") == "active"
        assert value(unit, "Slice") == "system.slice"
        assert value(unit, "Delegate") == "yes"
        pid = engine.container(identifier)["pid"]
        told = next(path for path in cgroups_of(pid) if path.endswith(f"/system.slice/{unit}"))
        members = {found for found in host_pids() if told in cgroups_of(found)}
        assert members == {pid}  # what kept the scope until then is gone


def host_pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and alive(int(name))}


def alive(pid: int) -> bool:
    try:
        cgroups_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


@pytest.mark.usefixtures("systemd")
def test_a_dump_finds_it_by_its_scope_and_says_who_made_it(engine: Engine) -> None:
    with engine.running("sleep", "1000", options=SYSTEMD) as identifier:
        one = engine.container(identifier)
        assert (one["engine"], one["status"]) == ("cinspect", "running")
        assert one["cgroup_manager"] == "systemd" or too_slow(engine)
        assert manager(engine, identifier) == "systemd"


def test_one_in_the_engines_own_cgroups_is_said_to_be(engine: Engine) -> None:
    with engine.running("sleep", "1000", options=("--cgroup-manager", "cgroupfs")) as identifier:
        one = engine.container(identifier)
        assert one["cgroup_manager"] == "cgroupfs" or too_slow(engine)
        assert manager(engine, identifier) == "cgroupfs"
        assert any(path.endswith(f"/cinspect/{identifier}") for path in cgroups_of(one["pid"]))


def test_who_makes_them_is_chosen_as_the_host_does(engine: Engine) -> None:
    alone = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    with engine.running("sleep", "1000") as identifier:
        wanted = "systemd" if BOOTED.is_dir() and alone else "cgroupfs"
        assert manager(engine, identifier) == wanted


def test_the_environment_chooses_where_no_option_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINSPECT_CGROUP_MANAGER", "cgroupfs")
    with engine.running("sleep", "1000") as identifier:
        assert manager(engine, identifier) == "cgroupfs"
    monkeypatch.setenv("CINSPECT_CGROUP_MANAGER", "init")
    refused = engine.cinspect("run", "@host", "true")
    assert refused.returncode == 125
    assert "CINSPECT_CGROUP_MANAGER: 'init' is not cgroupfs or systemd" in refused.stderr


@pytest.mark.usefixtures("systemd")
def test_a_shim_that_has_rested_still_knows_its_scope(engine: Engine) -> None:
    if "pids" not in host.controllers():
        requirements.absent_here("this host has no controllers of pids and memory")
    with engine.running("sleep", "1000", options=(*SYSTEMD, "--pids-limit", "40")) as identifier:
        time.sleep(3)  # what made the container has ended, and another process goes on for it
        engine("update", "--pids-limit", "50", identifier)
        assert value(scope(identifier), "TasksMax") == "50"


@pytest.mark.usefixtures("systemd")
def test_systemd_knows_its_limits_and_their_changes(engine: Engine) -> None:
    if not {"pids", "memory"} <= host.controllers():
        requirements.absent_here("this host has no controllers of pids and memory")
    limits = ("--pids-limit", "40", "--memory", "64m")
    with engine.running("sleep", "1000", options=(*SYSTEMD, *limits)) as identifier:
        unit = scope(identifier)
        memory = "MemoryMax" if host.UNIFIED else "MemoryLimit"
        assert value(unit, "TasksMax") == "40"
        assert value(unit, memory) == str(64 << 20)
        assert engine.container(identifier)["resources"]["pids"]["limit"] == 40
        engine("update", "--pids-limit", "50", "--memory", "96m", identifier)
        assert value(unit, "TasksMax") == "50"
        assert value(unit, memory) == str(96 << 20)
        assert engine.container(identifier)["resources"]["pids"]["limit"] == 50


@pytest.mark.usefixtures("systemd")
def test_it_is_frozen_listed_and_thawed_in_its_scope(engine: Engine) -> None:
    with engine.running("sleep", "1000", options=SYSTEMD) as identifier:
        assert "sleep" in engine("top", identifier)
        assert engine("exec", identifier, "echo", "inside") == "inside"
        engine("freeze", identifier)
        assert engine.container(identifier)["status"] == "paused"
        engine("thaw", identifier)
        assert engine.container(identifier)["status"] == "running"


@pytest.mark.usefixtures("systemd")
def test_a_scope_goes_when_its_container_ends(engine: Engine) -> None:
    with engine.running("sh", "-c", "exit 3", options=SYSTEMD) as identifier:
        assert engine("wait", identifier) == "3"
        command.eventually(lambda: scope(identifier) not in scopes())
        engine("start", identifier)
        assert engine("wait", identifier) == "3"
    assert not traces.cgroups(identifier)


@pytest.mark.usefixtures("systemd")
def test_removal_takes_the_scope_of_a_container_whose_shim_was_killed(engine: Engine) -> None:
    with engine.running("sleep", "1000", options=SYSTEMD) as identifier:
        one = engine.container(identifier)
        os.kill(one["shim"]["pid"], signal.SIGKILL)
        command.eventually(lambda: not alive(one["shim"]["pid"]))
        assert scope(identifier) in scopes()
    assert scope(identifier) not in scopes()
    assert not alive(one["pid"])


@pytest.mark.usefixtures("systemd")
def test_a_failed_start_leaves_no_scope(engine: Engine) -> None:
    failed = engine.cinspect("run", *SYSTEMD, "--rm", "@host", "/no/such/command")
    assert failed.returncode == 127, failed.stderr
