"""`run` through the real executable: streams, exit statuses, options, and nothing left behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.inspector.cli_engine.conftest import cgroups_of
from tests.live import host

pytestmark = pytest.mark.root


def test_output_and_status_are_the_commands_own(cinspect):
    done = cinspect.run("run", "--rm", "@host", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert cinspect.ids() == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("@host", "true"), 0, b""),
        (("@host", "no-such-command-1"), 127, b"no-such-command-1"),
        (("@host", "/etc"), 126, b"/etc"),
        (("@host", "/etc/passwd"), 126, b"/etc/passwd"),
        (("@host", "sh", "-c", "kill -9 $$; exit 0"), 0, b""),  # pid 1 hears no SIGKILL of its own
        (("@host", "sh", "-c", "sh -c 'kill -9 $$'"), 137, b"Killed"),
        (("no-such-image", "true"), 125, b"no-such-image"),
        (("--rootfs", "/no/such/dir", "true"), 125, b"/no/such/dir"),
        (("-v", "/no/such/dir:/mnt", "@host", "true"), 125, b"/no/such/dir"),
        (("-w", "relative", "@host", "true"), 125, b"relative"),
        (("-u", "no-such-user", "@host", "true"), 125, b"no-such-user"),
        (("--cap-add", "NO_SUCH", "@host", "true"), 125, b"NO_SUCH"),
        (("--no-such-option", "@host", "true"), 125, b"--no-such-option"),
        ((), 125, b"@host"),
    ],
)
def test_what_fails_has_dockers_status_and_says_why_on_one_line(cinspect, words, status, said):
    done = cinspect.run("run", "--rm", *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert done.stdout == b""
    if status and b"usage:" not in done.stderr:
        assert len(done.stderr.splitlines()) == (0 if not said else 1)
    assert cinspect.ids() == []


def test_a_read_only_cinspect_refuses_and_changes_nothing(cinspect):
    argv = [*cinspect.argv, "--read-only", "run", "@host", "true"]
    done = subprocess.run(argv, env=cinspect.environment, capture_output=True, check=False)
    assert done.returncode == 125
    assert b"--read-only" in done.stderr
    assert cinspect.ids() == []


def test_twenty_megabytes_go_through_byte_for_byte(cinspect):
    data = os.urandom(20 << 20)
    done = cinspect.run("run", "--rm", "-i", "@host", "cat", stdin=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_a_slow_reader_holds_the_container_back_and_misses_nothing(cinspect):
    running = cinspect.start(
        *("run", "--rm", "@host", "head", "-c", "3000000", "/dev/zero"), stdout=subprocess.PIPE
    )
    size = 0
    while chunk := running.stdout.read1(200_000):
        size += len(chunk)
        time.sleep(0.02)
    running.stdout.close()
    assert running.wait(30) == 0
    assert size == 3_000_000


def test_without_i_there_is_nothing_to_read(cinspect):
    done = cinspect.run("run", "--rm", "@host", "wc", "-c", stdin=b"unheard")
    assert done.stdout.strip() == b"0"


def test_a_reader_that_goes_away_ends_the_container_that_nobody_would_remove(cinspect):
    running = cinspect.start("run", "--rm", "@host", "yes", stdout=subprocess.PIPE)
    assert running.stdout.readline() == b"y\n"
    running.stdout.close()
    assert running.wait(30) == 141
    assert cinspect.ids() == []


def test_options_reach_the_process(cinspect, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("content")
    (tmp_path / "env").write_text("FROM_FILE=1\nBOTH=file\n")
    script = (
        "id -u; id -g; pwd; hostname; echo $A $FROM_FILE $BOTH; cat /mnt/file; echo;"
        "touch /mnt/new 2>&1; touch /new 2>&1; grep Cap /proc/self/status | grep -c 0000000000000000"
    )
    done = cinspect.run(
        *("run", "--rm", "-u", "1234:4321", "-w", "/usr", "--hostname", "box-1", "-e", "A=a b"),
        *("--env-file", str(tmp_path / "env"), "-e", "BOTH=option", "--read-only"),
        *("-v", f"{tmp_path}/shared:/mnt:ro", "--cap-drop", "ALL", "@host", "sh", "-c", script),
    )
    lines = done.stdout.decode().splitlines()
    assert lines[:6] == ["1234", "4321", "/usr", "box-1", "a b 1 option", "content"]
    assert "Read-only file system" in lines[6] or "Permission denied" in lines[6]
    assert "Read-only file system" in lines[7]
    assert lines[8] == "5"
    assert os.listdir(tmp_path / "shared") == ["file"]


def test_limits_are_in_its_cgroups_and_can_change(cinspect):
    for controller in ("memory", "cpu", "pids"):
        host.require(controller)
    container = cinspect.detached(
        *("-m", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "20"),
        *("--name", "limited", "@host", "sleep", "60"),
    )
    directories = {path.split("/")[4]: path for path in cgroups_of(container)}

    def limit(controller: str, first: str, second: str) -> str:
        directory = directories.get(controller, directories.get("unified", ""))
        name = first if controller in directories else second
        with open(f"{directory}/{name}") as file:
            return file.read().strip()

    assert limit("memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert limit("pids", "pids.max", "pids.max") == "20"
    assert limit("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert cinspect.ok("update", "-m", "96m", "--cpus", "1.5", "limited") == "limited\n"
    assert limit("memory", "memory.limit_in_bytes", "memory.max") == str(96 << 20)
    assert limit("pids", "pids.max", "pids.max") == "20"
    assert limit("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "150000"
    assert cinspect.run("update", "limited").returncode == 2
    spec = json.loads(cinspect.ok("inspect", "limited"))[0]["spec"]
    assert spec["linux"]["resources"]["memory"]["limit"] == 96 << 20


def test_a_client_that_was_killed_leaves_a_container_that_rm_removes(cinspect):
    running = cinspect.start(
        *("run", "--rm", "-i", "--name", "orphan", "@host", "sh", "-c", "echo up; sleep 60"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with running:
        assert running.stdout.readline() == b"up\n"
        running.kill()
    assert '"orphan"' in cinspect.ok("ps", "--format", "json")
    (container,) = cinspect.ids()
    assert cinspect.ok("rm", "-f", "orphan") == "orphan\n"
    assert not cgroups_of(container)
    assert not cinspect.remains()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(cinspect, number):
    script = "trap 'echo INT; exit 3' INT; trap 'echo TERM; exit 4' TERM; trap 'echo USR1; exit 5' USR1; echo up; while :; do sleep 0.1; done"
    running = cinspect.start("run", "--rm", "@host", "sh", "-c", script, stdout=subprocess.PIPE)
    with running:
        assert running.stdout.readline() == b"up\n"
        running.send_signal(number)
        assert running.stdout.read() == f"{number.name[3:]}\n".encode()
    assert running.returncode == {2: 3, 15: 4, 10: 5}[number]


def test_three_interrupts_that_are_not_heard_end_a_container_that_nobody_would_remove(cinspect):
    running = cinspect.start(
        *("run", "--rm", "@host", "sh", "-c", "trap '' INT; echo up; sleep 60"),
        stdout=subprocess.PIPE,
    )
    with running:
        assert running.stdout.readline() == b"up\n"
        for _ in range(3):
            running.send_signal(signal.SIGINT)
            time.sleep(0.2)
    assert running.returncode == 130
    assert cinspect.ids() == []


@pytest.mark.parametrize("delay", [0.15, 0.25, 0.3, 0.35, 0.4, 0.5])
def test_an_interrupt_at_any_moment_leaves_nothing(cinspect, delay):
    running = cinspect.start(
        *("run", "--rm", "@host", "sh", "-c", "trap 'exit 130' INT; while :; do sleep 0.05; done"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    deadline = time.monotonic() + 20
    with contextlib.suppress(subprocess.TimeoutExpired):
        while running.poll() is None and time.monotonic() < deadline:
            running.send_signal(signal.SIGINT)
            running.wait(0.5)
    assert running.returncode in {130, -2}
    assert cinspect.ids() == []


def test_a_detached_one_prints_its_id_and_is_removed_when_it_ends(cinspect):
    container = cinspect.detached("--rm", "@host", "sleep", "1")
    assert re.fullmatch(r"[0-9a-f]{64}", container)
    assert cinspect.ids() == [container]
    deadline = time.monotonic() + 10
    while cinspect.ids() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cinspect.ids() == []
    assert not cgroups_of(container)


def test_a_name_that_is_taken_is_refused(cinspect):
    cinspect.detached("--name", "twice", "@host", "sleep", "60")
    done = cinspect.run("run", "--name", "twice", "@host", "true")
    assert done.returncode == 125
    assert b"twice" in done.stderr
    assert len(cinspect.ids()) == 1


def test_a_terminal_is_asked_for_where_there_is_none(cinspect):
    done = cinspect.run("run", "--rm", "-it", "@host", "true")
    assert done.returncode == 1
    assert b"the input device is not a TTY" in done.stderr
    assert cinspect.ids() == []


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        ("<&-", 3, ""),
        (">&-", 3, ""),
        ("2>&-", 3, ""),
        (">/dev/full", 141, "cannot be written: No space left"),
    ],
)
def test_standard_streams_that_are_closed_or_full_do_no_harm(cinspect, redirection, status, said):
    script = f'"$@" run --rm -i @host sh -c "cat; echo out; echo err >&2; exit 3" {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *cinspect.argv],
        env=cinspect.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert done.stdout == ("" if ">" in redirection[0] else "out\n")
    assert cinspect.ids() == []


def test_a_shim_that_dies_leaves_a_client_that_ends_with_its_container(cinspect):
    running = cinspect.start(
        *("run", "-i", "--name", "orphan", "@host", "sh", "-c", "echo up; sleep 60"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with running:
        assert running.stdout.readline() == b"up\n"
        (found,) = json.loads(cinspect.ok("inspect", "orphan"))
        os.kill(found["shim"]["pid"], signal.SIGKILL)
        assert cinspect.ok("rm", "-f", "orphan") == "orphan\n"
        assert running.wait(20) == 125
        assert b"orphan" in running.stderr.read()
    assert not cinspect.remains()
