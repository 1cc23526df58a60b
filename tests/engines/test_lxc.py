"""LXC's containers: real ones, found by the kernel; and what LXC has on disk adds those that are stopped."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from collectors.engines.lxc import LxcEngine, Place
from tests import command, requirements, traces
from tests.command import eventually
from tests.engines import seen
from tests.engines.side_by_side import Dump, Table, Words, find, unnoticed

pytestmark = [pytest.mark.engine, pytest.mark.root]

NAME = "cinspect-lxc"


@pytest.fixture(scope="module")
def path(scratch: Path, rootfs: Path) -> Iterator[Path]:
    """Return a directory of LXC's with a container defined in it."""
    requirements.commands("lxc-start", "lxc-stop", "lxc-execute")
    before = traces.all_cgroups()
    directory = scratch / "lxc"
    (directory / NAME).mkdir(parents=True)
    (directory / NAME / "config").write_text(
        f"lxc.uts.name = inside\n"
        f"lxc.rootfs.path = dir:{rootfs}\n"
        "lxc.net.0.type = empty\n"
        "lxc.mount.auto = proc:mixed sys:ro\n"
        "lxc.init.cmd = /bin/sleep 1000\n"
    )
    yield directory
    # LXC leaves the cgroup by way of which it removes the others.
    for cgroup in sorted(traces.all_cgroups() - before, reverse=True):
        if Path(cgroup).name.startswith("lxc."):
            with suppress(OSError):
                os.rmdir(cgroup)


@pytest.fixture(params=("lxc-start", "lxc-execute"))
def started(request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    """Return the tool that has started the container: one leaves a monitor, one stays itself."""
    tool: str = request.param
    arguments = ("--daemon",) if tool == "lxc-start" else ("--", "/bin/sleep", "1000")
    with subprocess.Popen((tool, "-P", path, "-n", NAME, *arguments), stdin=subprocess.DEVNULL):
        try:
            eventually(
                lambda: "RUNNING" in _lxc("lxc-info", path, "-s"),
                seconds=10,
            )
            yield tool
        finally:
            _lxc("lxc-stop", path, "-k")


def _lxc(tool: str, path: Path, *arguments: str) -> str:
    return subprocess.run(
        (tool, "-P", path, "-n", NAME, *arguments), check=False, capture_output=True, text=True
    ).stdout


def test_the_kernel_alone_tells_its_name_and_monitor(path: Path, started: str) -> None:
    one = seen.container(NAME)
    assert (one["name"], one["engine"], one["status"]) == (NAME, "lxc", "running")
    assert one["pid"] == int(_lxc("lxc-info", path, "-p", "-H"))
    monitor = Path(f"/proc/{one['shim']['pid']}/cmdline").read_text()
    assert NAME in monitor
    assert ("lxc monitor" in monitor) == (started == "lxc-start")


async def test_one_that_does_not_run_is_listed(path: Path) -> None:
    reading = await LxcEngine((Place(str(path), 0),)).collect()
    (one,) = reading.containers
    assert (one.id, one.engine, one.status) == (NAME, "lxc", None)
    assert one.labels["lxc.uts.name"] == "inside"


def _told(path: Path) -> dict[str, str]:
    """Return what lxc-info prints, by its own words."""
    lines = [line.partition(":") for line in _lxc("lxc-info", path, "-H").splitlines()]
    return {key.strip(): value.strip() for key, _, value in lines}


@pytest.mark.parametrize("frozen", [False, True])
def test_lxc_and_the_dump_say_the_same(
    path: Path, started: str, *, frozen: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if frozen:
        _lxc("lxc-freeze", path)
    try:
        # lxc-execute has an init of its own go before.
        first = "init" if started == "lxc-execute" else "/bin/sleep 1000"
        before = {**_told(path), "command": first}
        frame, after = command.dump("dump", environment=seen.HIDDEN), _told(path)
    finally:
        _lxc("lxc-unfreeze", path)
    table = compare(path, before, frame, after)
    table.show(capsys)
    assert table.differing() == []
    claimed = ("engine", "name", "status", "pid", "command", "/processes")
    counted = ("resources.cpu.usage_usec",) if "CPU use" in before else ()
    assert unnoticed(_with(path, before, after), frame, NAME, (*claimed, *counted)) == []


def _with(path: Path, before: Words, after: Words) -> Callable[[Dump], Table]:
    return lambda frame: compare(path, before, frame, after)


def compare(path: Path, before: Words, frame: Dump, after: Words) -> Table:
    one = find(frame, NAME)
    table = Table(f"lxc: {NAME}")
    table.same("engine", "lxc", one["engine"])
    table.same("name", before["Name"], one["name"])
    table.same("status", {"FROZEN": "paused"}.get(before["State"], "running"), one["status"])
    table.same("pid", int(before["PID"]), one["pid"])
    table.same("command", before["command"], " ".join(one["command"]))
    inside = {each["pid"] for each in frame["processes"] if each["container"] == NAME}
    table.same("processes", set(one["pids"]), inside)
    if "CPU use" in before:
        cpu = [int(said["CPU use"]) // 1000 for said in (before, after)]
        table.between("cpu microseconds", cpu[0], one["resources"]["cpu"]["usage_usec"], cpu[1])
    if "Memory use" in before:
        ours = one["resources"]["memory"]["current_bytes"]
        table.near("memory", int(before["Memory use"]), ours, within=1 << 20)
    return table
