"""Acting on containers that no engine, or another one, made: through the kernel."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import requirements

pytestmark = pytest.mark.root


@pytest.fixture
def bubblewrap():
    """The id of a bubblewrap sandbox, and its first process."""
    requirements.commands("bwrap")
    read, write = os.pipe()
    process = subprocess.Popen(
        [
            *("bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all"),
            *("--die-with-parent", "--info-fd", str(write)),
            *("sh", "-c", "while :; do sleep 0.05; done"),
        ],
        pass_fds=[write],
        env={**os.environ, "SECRET": "whisper"},
        start_new_session=True,
    )
    os.close(write)
    with os.fdopen(read) as info:
        pid = json.load(info)["child-pid"]
    time.sleep(0.2)
    try:
        yield found_id(pid), pid
    finally:
        process.kill()
        process.wait()


def found_id(pid: int) -> str:
    """What `dump` calls the container that has this process."""
    import asyncio

    from collectors import registry
    from collectors.root import Root
    from inspector.chain import Chain
    from inspector.sampler import Sampler

    root = Root()
    sample = asyncio.run(Sampler(root, registry.collectors(root)).sample({"containers"}))
    found = [one for one in Chain().advance(sample).containers if pid in one.pids]
    assert found, f"no container has process {pid}"
    return found[0].id


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ticks(pid: int) -> int:
    """Forks of the loop, as the switches of its shell."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


def test_a_sandbox_without_a_cgroup_is_stopped_and_goes_on(cinspect, sandbox):
    pid = int(sandbox.partition("-")[2])
    assert cinspect.ok("freeze", sandbox) == f"{sandbox}\n"
    assert state(pid) == "T"
    assert cinspect.ok("thaw", sandbox) == f"{sandbox}\n"
    assert state(pid) == "S"
    again = cinspect.run("thaw", sandbox)
    assert again.returncode == 1
    assert b"is not frozen" in again.stderr


def test_a_bubblewrap_sandbox_stands_still_while_it_is_frozen(cinspect, bubblewrap):
    name, pid = bubblewrap
    cinspect.ok("freeze", name)
    before = ticks(pid)
    time.sleep(0.5)
    assert ticks(pid) == before
    cinspect.ok("thaw", name)
    time.sleep(0.5)
    assert ticks(pid) > before


def test_what_shares_our_cgroup_is_never_frozen_by_it(cinspect, sandbox):
    cinspect.ok("freeze", sandbox)
    path = next(
        line.split(":", 2)[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if "freezer" in line or line.startswith("0::")
    )
    for file in (
        f"/sys/fs/cgroup/freezer{path}/freezer.state",
        f"/sys/fs/cgroup{path}/cgroup.freeze",
    ):
        if os.path.exists(file):
            assert Path(file).read_text().strip() in {"THAWED", "0"}
    log = [json.loads(line) for line in (cinspect.root / "actions.ndjson").read_text().splitlines()]
    assert log[-1]["action"] == "freeze"
    assert "no cgroup of its own" in log[-1]["how"]
    assert log[-1]["error"] is None


def own_freezer(pid: int):
    """Put a process into a freezer cgroup of its own; return the cgroup's directory."""
    base = Path("/sys/fs/cgroup/freezer")
    base = base if base.exists() else Path("/sys/fs/cgroup")
    made = base / f"cinspect-test-{pid}"
    made.mkdir()
    (made / "cgroup.procs").write_text(str(pid))
    return made


def test_a_cgroup_of_its_own_is_frozen(cinspect, sandbox):
    pid = int(sandbox.partition("-")[2])
    made = own_freezer(pid)
    try:
        name = found_id(pid)
        cinspect.ok("freeze", name)
        assert state(pid) != "T"
        text = {
            p.name: p.read_text().strip()
            for p in made.iterdir()
            if "fr" in p.name and p.name in {"freezer.state", "cgroup.freeze"}
        }
        assert set(text.values()) <= {"FROZEN", "1"}
        assert text
        cinspect.ok("thaw", name)
    finally:
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                made.rmdir()
                break
            except OSError:
                time.sleep(0.02)


def test_kill_reaches_its_first_process(cinspect, sandbox):
    pid = int(sandbox.partition("-")[2])
    cinspect.ok("kill", "-s", "KILL", sandbox)
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}") and state(pid) != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}") or state(pid) == "Z"


def test_exec_runs_among_its_namespaces_with_its_environment(cinspect, bubblewrap):
    name, pid = bubblewrap
    done = cinspect.run(
        *("exec", "-e", "MORE=yes", "-w", "/usr", name, "sh", "-c"),
        "readlink /proc/self/ns/mnt; pwd; echo $SECRET $MORE; grep CapEff /proc/self/status; exit 4",
    )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 4, done.stderr
    assert lines[0] == os.readlink(f"/proc/{pid}/ns/mnt")
    assert lines[1:3] == ["/usr", "whisper yes"]
    expected = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "CapEff" in line
    )
    assert lines[3] == expected


def test_exec_passes_streams_on_byte_for_byte(cinspect, sandbox):
    data = os.urandom(3 << 20)
    done = cinspect.run("exec", "-i", sandbox, "cat", stdin=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == data
    assert cinspect.run("exec", sandbox, "wc", "-c", stdin=b"unheard").stdout.strip() == b"0"


@pytest.mark.parametrize(("command", "status"), [("no-such-command-1", 127), ("/etc", 126)])
def test_exec_says_what_cannot_be_run(cinspect, sandbox, command, status):
    done = cinspect.run("exec", sandbox, command)
    assert done.returncode == status
    assert command.encode() in done.stderr


def test_limits_of_a_shared_cgroup_are_not_changed(cinspect, sandbox):
    done = cinspect.run("update", "--pids-limit", "5", sandbox)
    assert done.returncode == 1
    assert b"of its own" in done.stderr


def test_rm_says_that_no_engine_could(cinspect, sandbox):
    done = cinspect.run("rm", "-f", sandbox)
    assert done.returncode == 1
    assert sandbox.encode() in done.stderr


def test_what_nobody_has_is_not_found(cinspect):
    for verb in ("freeze", "thaw", "kill"):
        done = cinspect.run(verb, "no-such-container-1")
        assert done.returncode == 1
        assert b"no container 'no-such-container-1'" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_read_only_refuses_each_action(cinspect, sandbox):
    for verb in (("freeze",), ("kill",), ("thaw",), ("update", "-m", "1g")):
        argv = [*cinspect.argv, "--read-only", *verb, sandbox]
        done = subprocess.run(argv, env=cinspect.environment, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"--read-only" in done.stderr
    assert state(int(sandbox.partition("-")[2])) == "S"


def test_a_container_of_an_engine_with_other_directories_is_found(cinspect, tmp_path):
    from tests.inspector.cli_engine.conftest import Cinspect

    other = Cinspect(tmp_path / "other")
    container = other.detached("--name", "far", "@host", "sleep", "60")
    try:
        assert cinspect.ok("freeze", container[:12]) == f"{container[:12]}\n"
        assert "Paused" in other.ok("ps")
        cinspect.ok("thaw", container[:12])
        assert cinspect.run("exec", container[:12], "sh", "-c", "exit 6").returncode == 6
    finally:
        other.run("rm", "-f", container)
    assert not other.remains()


def test_top_and_inspect_know_somebody_elses_sandbox(cinspect, sandbox):
    pid = sandbox.partition("-")[2]
    lines = cinspect.ok("top", sandbox).splitlines()
    assert [line.split()[:2] for line in lines if line.split()[0] == pid] == [[pid, "1"]]
    (found,) = json.loads(cinspect.ok("inspect", sandbox))
    assert found["pid"] == int(pid)
    assert found["engine"] is None


def test_diff_walks_the_overlay_of_an_engine_with_other_directories(cinspect, tmp_path):
    from tests.inspector.cli_engine.conftest import Cinspect

    other = Cinspect(tmp_path / "other")
    script = "echo x > /srv/new; echo y >> /etc/motd; rm /etc/issue; sleep 60"
    container = other.detached("@host", "sh", "-c", script)
    try:
        time.sleep(0.3)
        lines = set(cinspect.ok("diff", container).splitlines())
        assert {"A /srv/new", "C /etc/motd", "D /etc/issue"} <= lines
    finally:
        other.run("rm", "-f", container)
