"""Small machines run the live tests on hosts of other kinds, and leave nothing on this one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import requirements, traces
from tests.machines import machine
from tests.machines.suites import Report

pytestmark = [pytest.mark.machine, pytest.mark.root, pytest.mark.timeout(1000)]

CGROUP_FILE_SYSTEMS = {"ns-v1": "tmpfs", "ns-v2": "cgroup2fs", "uml": "cgroup2fs"}


@pytest.fixture(params=machine.LANES)
def lane(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := machine.missing(name):
        requirements.lacking(f"{name}: {reason}")
    return name


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert_nothing_stays(tmp_path)


def assert_nothing_stays(results: Path) -> None:
    """Check that no process, cgroup, mount or memory file of a machine is on the host any more."""
    assert traces.processes(str(results)) == {}
    # With its cgroups, the last process in them is gone.
    assert cgroups_of(os.getpid()) == []
    assert traces.mounts(str(results)) == []
    assert list(Path("/dev/shm").glob("vm_file*")) == []


def cgroups_of(driver: int) -> list[str]:
    """Return the cgroups that this driver made for a machine."""
    return traces.cgroups(f"/cinspect-machine-{driver}")


def test_systemd_is_the_first_process_of_the_machine(lane: str, results: Path) -> None:
    script = "cat /proc/1/comm /machine/state; stat -fc %T /sys/fs/cgroup; exit 7"
    outcome = machine.run(lane, ("sh", "-c", script), results, timeout_seconds=60)
    assert outcome.exit_code == 7, outcome.console
    assert outcome.output.split() == ["systemd", "running", CGROUP_FILE_SYSTEMS[lane]]


def test_a_machine_writes_nothing_to_the_hosts_root(lane: str, results: Path) -> None:
    marker = Path("/etc", f"cinspect-machine-{os.getpid()}")
    outcome = machine.run(lane, ("touch", str(marker)), results, timeout_seconds=60)
    assert outcome.exit_code == 0, outcome.console
    assert not marker.exists()


def test_a_command_that_takes_too_long_is_ended_with_its_machine(lane: str, results: Path) -> None:
    seconds = 15 if lane == "uml" else 3
    command = ("sh", "-c", "echo up; sleep 1000")
    outcome = machine.run(lane, command, results, timeout_seconds=seconds)
    assert outcome.exit_code == machine.TIMED_OUT
    assert outcome.output == "up\n"


def test_nothing_stays_when_the_driver_is_killed(lane: str, results: Path) -> None:
    driver = (
        "import pathlib, sys; from tests.machines import machine; "
        "machine.run(sys.argv[1], ('sleep', '1000'), pathlib.Path(sys.argv[2]))"
    )
    with subprocess.Popen((sys.executable, "-c", driver, lane, str(results))) as process:
        state = results / "state"
        eventually(lambda: state.exists() and state.read_text() == "running\n", seconds=60)
        assert traces.processes(str(results))
        assert cgroups_of(process.pid) or lane == "uml"
        process.send_signal(signal.SIGKILL)
    eventually(lambda: not traces.processes(str(results)), seconds=20)
    eventually(lambda: not cgroups_of(process.pid), seconds=20)


def test_it_refuses_to_start_a_systemd_in_the_hosts_namespaces(tmp_path: Path) -> None:
    script = machine.GUEST / "namespaces.sh"
    arguments = ("v1", str(tmp_path), os.readlink("/proc/self/ns/mnt"))
    for prefix in ((), ("unshare", "--pid", "--fork", "--kill-child")):
        done = subprocess.run(
            (*prefix, script, *arguments), check=False, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "refused" in done.stderr


@pytest.mark.timeout(3000)
def test_the_suite_passes(lane: str, suite_of: Callable[[str], Report]) -> None:
    report = suite_of(lane)
    sys.stdout.write(f"{lane}: {report.ran}\n{report.output}")
    assert report.wrong == ()
    assert (
        report.ran > 600
    )  # all of tests/live and tests/runtime that needs root, but what is lacking


def eventually(holds: object, *, seconds: float) -> None:
    """Wait until this is so, at most this long."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)
