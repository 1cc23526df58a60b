"""The embedded engine on this host, whichever kind it is: what it is asked for is what is there."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import command, requirements, traces
from tests.live import host
from tests.live.engine import Engine

pytestmark = pytest.mark.root

OWN_NAMESPACES = ("mnt", "uts", "ipc", "pid", "net", "cgroup")


def test_a_container_has_namespaces_of_its_own(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        pid = engine.container(identifier)["pid"]
        for kind in OWN_NAMESPACES:
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")


def test_its_hostname_is_what_was_asked_for(engine: Engine) -> None:
    arguments = ("run", "--rm", "--hostname", "inside", "@host")
    assert engine(*arguments, "cat", "/proc/sys/kernel/hostname") == "inside"
    assert Path("/proc/sys/kernel/hostname").read_text() != "inside\n"


def test_its_command_is_process_one_and_sees_no_other(engine: Engine) -> None:
    output = engine("run", "--rm", "@host", "sh", "-c", "echo $$; ls -d /proc/[0-9]*")
    assert output.split()[0] == "1"
    assert "/proc/1" in output
    assert len(output.split()) <= 4


def test_its_exit_status_is_the_commands(engine: Engine) -> None:
    assert engine.cinspect("run", "--rm", "@host", "sh", "-c", "exit 7").returncode == 7


def test_its_root_can_be_written_and_the_hosts_stays_as_it_was(engine: Engine) -> None:
    path = f"/etc/cinspect-live-{os.getpid()}"
    with engine.running("sh", "-c", f"echo x > {path}; exec sleep 1000") as identifier:
        command.eventually(lambda: f"A {path}" in engine("diff", identifier))
        assert not Path(path).exists()


def test_exec_runs_in_its_namespaces(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        pid = engine.container(identifier)["pid"]
        for kind in ("mnt", "pid", "net"):
            inside = engine("exec", identifier, "readlink", f"/proc/self/ns/{kind}")
            assert inside == os.readlink(f"/proc/{pid}/ns/{kind}")
        done = engine.cinspect("exec", identifier, "sh", "-c", "exit 9")
        assert done.returncode == 9


def test_kill_ends_it_and_its_status_says_by_which_signal(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        engine("kill", "--signal", "KILL", identifier)
        assert engine("wait", identifier) == str(128 + signal.SIGKILL)
        one = engine.container(identifier)
        assert (one["status"], one["exit_code"]) == ("stopped", 137)


def test_what_it_wrote_is_in_its_logs(engine: Engine) -> None:
    with engine.running("sh", "-c", "echo out; echo err >&2; exec sleep 1000") as identifier:
        command.eventually(lambda: "out" in engine("logs", identifier))
        done = engine.cinspect("logs", identifier)
        assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_removing_it_leaves_the_host_as_it_was(engine: Engine) -> None:
    before = traces.mounts(str(engine.data)), traces.mounts(str(engine.state))
    limits = ("--pids-limit", "50") if "pids" in host.controllers() else ()
    with engine.running("sleep", "1000", options=limits) as identifier:
        assert traces.cgroups(identifier)
        assert traces.processes(identifier)
        assert traces.mounts(identifier)
    assert (traces.mounts(str(engine.data)), traces.mounts(str(engine.state))) == before
    assert not traces.cgroups(identifier)
    assert not traces.processes(identifier)


def test_a_frozen_one_stands_still_and_goes_on_when_thawed(engine: Engine) -> None:
    with engine.running("sh", "-c", "while :; do :; done") as identifier:
        engine("freeze", identifier)
        one = engine.container(identifier)
        assert one["status"] == "paused"
        used = cpu_ticks(one["pid"])
        time.sleep(0.3)
        assert cpu_ticks(one["pid"]) == used
        engine("thaw", identifier)
        assert engine.container(identifier)["status"] == "running"
        command.eventually(lambda: cpu_ticks(one["pid"]) > used)


def cpu_ticks(pid: int) -> int:
    """Return the processor time this process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_memory_limit_is_in_its_cgroup_and_in_the_dump(engine: Engine) -> None:
    host.require("memory")
    with engine.running("sleep", "1000", options=("--memory", "64m")) as identifier:
        one = engine.container(identifier)
        names = ("memory", "memory.limit_in_bytes", "memory.max")
        assert host.cgroup_file(one["cgroups"], *names) == str(64 << 20)
        assert one["resources"]["memory"]["limit_bytes"] == 64 << 20
        assert 0 < one["resources"]["memory"]["current_bytes"] < 64 << 20


def test_one_that_needs_more_memory_is_killed_and_counted(engine: Engine) -> None:
    host.require("memory")
    # Its first process survives: the child is the larger one.
    script = "tail /dev/zero; echo ended; exec sleep 1000"
    with engine.running("sh", "-c", script, options=("--memory", "32m")) as identifier:
        command.eventually(lambda: "ended" in engine("logs", identifier))
        assert engine.container(identifier)["resources"]["memory"]["oom_kills"] == 1
        command.eventually(
            lambda: "/tasks/oom" in [json.loads(line)["topic"] for line in events(engine)]
        )


def events(engine: Engine) -> list[str]:
    """Return the events kept until now, a line of JSON each."""
    arguments = ("events", "--since", "1h", "--no-follow", "--format", "json")
    return engine(*arguments).splitlines()


def test_a_pids_limit_is_in_its_cgroup_and_stops_forks(engine: Engine) -> None:
    host.require("pids")
    # A shell that cannot fork ends: here the second one, so that the container goes on.
    script = "sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done'; exec sleep 1000"
    with engine.running("sh", "-c", script, options=("--pids-limit", "5")) as identifier:
        command.eventually(lambda: "ork" in engine.cinspect("logs", identifier).stderr)
        one = engine.container(identifier)
        assert host.cgroup_file(one["cgroups"], "pids", "pids.max", "pids.max") == "5"
        assert one["resources"]["pids"]["limit"] == 5
        assert one["resources"]["pids"]["current"] <= 5


def test_a_cpu_quota_is_in_its_cgroup_and_throttles(engine: Engine) -> None:
    host.require("cpu")
    script = "while :; do :; done"
    with engine.running("sh", "-c", script, options=("--cpus", "0.2")) as identifier:
        one = engine.container(identifier)
        quota = host.cgroup_file(one["cgroups"], "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
        period = host.cgroup_file(one["cgroups"], "cpu", "cpu.cfs_period_us", "cpu.max").split()[-1]
        assert int(quota) / int(period) == pytest.approx(0.2)
        assert one["resources"]["cpu"]["limit_cores"] == pytest.approx(0.2)
        command.eventually(
            lambda: engine.container(identifier)["resources"]["cpu"]["throttled_periods"] > 0
        )


def test_update_changes_a_running_ones_limits(engine: Engine) -> None:
    host.require("memory")
    with engine.running("sleep", "1000", options=("--memory", "64m")) as identifier:
        engine("update", "--memory", "96m", identifier)
        assert engine.container(identifier)["resources"]["memory"]["limit_bytes"] == 96 << 20


@pytest.mark.parametrize(
    ("controller", "option", "value"),
    [("memory", "--memory", "64m"), ("pids", "--pids-limit", "50"), ("cpu", "--cpus", "0.5")],
)
def test_a_limit_that_this_host_cannot_hold_is_refused(
    engine: Engine, controller: str, option: str, value: str
) -> None:
    if controller in host.controllers():
        requirements.absent_here(f"this host has the {controller} controller")
    before = engine("ps", "--all", "--quiet")
    done = engine.cinspect("run", "--rm", option, value, "@host", "true")
    assert done.returncode == 125
    assert controller in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert engine("ps", "--all", "--quiet") == before


def test_a_command_that_is_not_there_is_named_and_leaves_nothing(engine: Engine) -> None:
    before = engine("ps", "--all", "--quiet")
    done = engine.cinspect("run", "--rm", "@host", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr
    assert engine("ps", "--all", "--quiet") == before


def test_it_outlives_the_command_that_started_it(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        shim = engine.container(identifier)["shim"]["pid"]
        parent = Path(f"/proc/{engine.container(identifier)['pid']}/stat").read_text()
        assert int(parent.rpartition(")")[2].split()[1]) == shim
        listed = subprocess.run(("ps", "-o", "pid=", "-p", str(shim)), check=True)
        assert listed.returncode == 0


def test_it_can_be_started_from_a_makefile(engine: Engine, tmp_path: Path) -> None:
    # make ignores the two signals that glibc keeps to itself, and its commands inherit that.
    command_line = " ".join((command.CINSPECT, *engine.options, "run --rm @host echo made"))
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"it:\n\t@{command_line}\n")
    done = subprocess.run(
        ("make", "--no-print-directory", "-f", makefile),
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout == "made\n"
