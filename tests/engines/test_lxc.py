"""LXC's containers: real ones, found by the kernel; and what LXC has on disk adds those that are stopped."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from collectors.engines.lxc import LxcEngine, Place
from tests import requirements, traces
from tests.command import eventually
from tests.engines import seen

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
