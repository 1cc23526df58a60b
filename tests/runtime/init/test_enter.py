"""The program that enters a process's namespaces and cgroups, on sandboxes that no engine made."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.init import enter
from tests import requirements

pytestmark = pytest.mark.root
SANDBOX = "hostname sandbox; cd /tmp; exec sleep 100"


def command(pid: int, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(enter.__file__)), "--pid", str(pid), *arguments]


def run(pid: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(pid, *arguments), capture_output=True, text=True, check=False, timeout=30
    )


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def sandbox() -> Iterator[int]:
    """Start a process in namespaces of its own; give its pid."""
    if shutil.which("unshare") is None:
        requirements.lacking("unshare is not installed (util-linux)")
    unshare = ["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--kill-child"]
    process = subprocess.Popen([*unshare, "sh", "-c", SANDBOX])
    try:
        deadline = time.monotonic() + 10
        while not (found := children(process.pid)) or "sleep" not in comm(found[0]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield found[0]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def start_ticks(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_the_command_runs_among_the_namespaces(sandbox: int):
    kinds = ("mnt", "uts", "net", "pid")
    result = run(
        sandbox, "--", "sh", "-c", "uname -n; readlink /proc/self/ns/uts /proc/self/ns/net; pwd"
    )
    assert result.returncode == 0, result.stderr
    name, uts, net, cwd = result.stdout.split()
    assert (name, cwd) == ("sandbox", "/tmp")
    links = {kind: os.readlink(f"/proc/{sandbox}/ns/{kind}") for kind in kinds}
    assert (uts, net) == (links["uts"], links["net"])


def test_it_is_in_the_target_s_pid_namespace(sandbox: int):
    result = run(sandbox, "--", "sh", "-c", "echo $$")
    assert int(result.stdout) < 10


def test_only_the_namespaces_asked_for_are_entered(sandbox: int):
    result = run(
        sandbox,
        "--namespaces",
        "net",
        "--",
        "sh",
        "-c",
        "uname -n; ls /sys/class/net | wc -l; readlink /proc/self/ns/net",
    )
    assert result.stdout.split()[0] == os.uname().nodename
    assert result.stdout.split()[-1] == os.readlink(f"/proc/{sandbox}/ns/net")


def test_the_exit_status_is_the_command_s(sandbox: int):
    assert run(sandbox, "--", "sh", "-c", "exit 42").returncode == 42
    assert run(sandbox, "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert run(sandbox, "--", "nosuchcommand").returncode == 127
    assert run(sandbox, "--", "/etc").returncode == 126


def test_the_environment_is_what_is_given(sandbox: int):
    result = run(sandbox, "--env", "A=1", "--env=B=x=y", "--", "/usr/bin/env")
    assert sorted(result.stdout.splitlines()) == ["A=1", "B=x=y", "HOME=/root"]


def test_user_and_working_directory_are_taken(sandbox: int):
    result = run(sandbox, "--user", "daemon", "--cwd", "/usr", "--", "sh", "-c", "id -u; pwd")
    assert result.stdout.split() == ["1", "/usr"]


def test_a_process_that_is_another_one_now_is_refused(sandbox: int):
    ticks = start_ticks(sandbox)
    assert run(sandbox, "--start-ticks", ticks, "--", "true").returncode == 0
    refused = run(sandbox, "--start-ticks", str(int(ticks) + 1), "--", "true")
    assert refused.returncode == 125
    assert "another one" in refused.stderr


def test_a_process_that_is_gone_is_named():
    child = subprocess.Popen(["true"])
    child.wait()
    result = run(child.pid, "--", "true")
    assert result.returncode == 125
    assert result.stderr.startswith("cinspect: ")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--pid", "x", "--", "true"),
        ("--pid", "1"),
        ("--what", "1"),
        ("--namespaces", "soul", "--", "true"),
    ],
)
def test_a_wrong_command_line_is_125(arguments):
    line = [sys.executable, "-I", "-S", str(Path(enter.__file__)), *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1


def test_no_descriptor_of_the_program_leaks(sandbox: int):
    assert run(sandbox, "--", "ls", "/proc/self/fd").returncode == 0
    result = run(sandbox, "--namespaces", "uts", "--", "sh", "-c", "ls /proc/$$/fd")
    assert set(result.stdout.split()) <= {"0", "1", "2"}


def test_confined_it_has_the_target_s_privileges():
    if shutil.which("capsh") is None and shutil.which("setpriv") is None:
        requirements.lacking("setpriv is not installed (util-linux)")
    line = ["setpriv", "--reuid", "1234", "--regid", "77", "--clear-groups", "--no-new-privs"]
    target = subprocess.Popen([*line, "--bounding-set", "-all,+chown", "sleep", "100"])
    try:
        deadline = time.monotonic() + 10
        while "sleep" not in comm(target.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        script = "id -u; id -g; grep -E 'CapBnd|CapEff|NoNew' /proc/self/status | cut -f2"
        result = run(target.pid, "--confine", "--", "sh", "-c", script)
        assert result.stdout.split() == ["1234", "77", "0" * 16, f"{1:016x}", "1"]
    finally:
        target.kill()
        target.wait()


def test_a_signal_to_the_program_reaches_the_command(sandbox: int):
    line = command(
        sandbox,
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 5' TERM; echo up; while :; do sleep 0.05; done",
    )
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.stdout.read() == "caught\n"
        assert process.wait(10) == 5


def test_it_joins_a_sandbox_of_bubblewrap():
    if shutil.which("bwrap") is None:
        requirements.lacking("bubblewrap is not installed")
    line = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--tmpfs",
        "/run",
        "--unshare-all",
        "--hostname",
        "wrapped",
    ]
    outer = subprocess.Popen([*line, "--die-with-parent", "sleep", "100"])
    try:
        deadline = time.monotonic() + 10
        target = outer.pid
        while "sleep" not in comm(target):
            assert time.monotonic() < deadline
            target = (children(target) or [outer.pid])[0]
            time.sleep(0.01)
        result = run(
            target, "--", "sh", "-c", "uname -n; ls -A /run | wc -l; readlink /proc/self/ns/user"
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == ["wrapped", "0", os.readlink(f"/proc/{target}/ns/user")]
    finally:
        outer.kill()
        outer.wait()
