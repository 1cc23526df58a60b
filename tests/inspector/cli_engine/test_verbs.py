"""The other verbs through the real executable."""

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.inspector.cli_engine.conftest import REPOSITORY

pytestmark = pytest.mark.root


def wait_for(cinspect, name: str, status: str) -> None:
    deadline = time.monotonic() + 20
    while json.loads(cinspect.ok("inspect", name))[0]["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_create_waits_start_runs_and_wait_tells_the_code(cinspect):
    container = cinspect.ok("create", "--name", "job", "@host", "sh", "-c", "echo done; exit 3")
    assert re.fullmatch(r"[0-9a-f]{64}\n", container)
    assert "Created" in cinspect.ok("ps", "-a")
    assert cinspect.ok("ps", "-q") == ""
    assert cinspect.ok("start", "job") == "job\n"
    assert cinspect.ok("wait", "job", container[:12]) == "3\n3\n"
    assert re.search(r"Exited \(3\)", cinspect.ok("ps", "-a"))
    assert cinspect.ok("logs", "job") == "done\n"
    assert cinspect.ok("rm", "job") == "job\n"


def test_start_attached_has_streams_and_the_status(cinspect):
    cinspect.ok("create", "-i", "--name", "job", "@host", "sh", "-c", "cat; echo err >&2; exit 4")
    done = cinspect.run("start", "-a", "-i", "job", stdin=b"fed")
    assert (done.returncode, done.stdout, done.stderr) == (4, b"fed", b"err\n")
    again = cinspect.run("start", "-ai", "job", stdin=b"again")
    assert (again.returncode, again.stdout) == (4, b"again")


def test_one_that_runs_is_not_removed_without_force_and_need_not_be_started(cinspect):
    cinspect.detached("--name", "busy", "@host", "sleep", "60")
    assert cinspect.ok("start", "busy") == "busy\n"
    done = cinspect.run("rm", "busy")
    assert done.returncode == 1
    assert b"running" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_several_are_acted_on_and_the_one_that_fails_is_named(cinspect):
    cinspect.detached("--name", "aa", "@host", "sleep", "60")
    cinspect.detached("--name", "bb", "@host", "sleep", "60")
    done = cinspect.run("rm", "-f", "aa", "none", "bb")
    assert done.returncode == 1
    assert done.stdout == b"aa\nbb\n"
    assert b"'none'" in done.stderr
    assert cinspect.ids() == []


def test_stop_is_gentle_first(cinspect):
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    cinspect.detached("--name", "polite", "@host", "sh", "-c", script)
    time.sleep(0.3)
    started = time.monotonic()
    assert cinspect.ok("stop", "polite") == "polite\n"
    assert time.monotonic() - started < 5
    assert cinspect.ok("logs", "polite") == "up\nbye\n"
    cinspect.detached("--name", "deaf", "@host", "sh", "-c", "trap '' TERM; sleep 60")
    time.sleep(0.3)
    cinspect.ok("stop", "-t", "0.5", "deaf")
    assert cinspect.ok("wait", "deaf") == "137\n"


def test_kill_sends_what_it_is_told(cinspect):
    script = "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done"
    cinspect.detached("--name", "target", "@host", "sh", "-c", script)
    time.sleep(0.3)
    cinspect.ok("kill", "--signal", "SIGUSR1", "target")
    assert cinspect.ok("wait", "target") == "9\n"
    done = cinspect.run("kill", "target")
    assert done.returncode == 1
    assert b"not running" in done.stderr


def test_a_frozen_one_stands_still(cinspect):
    cinspect.detached(
        *("--name", "cold", "@host", "sh", "-c", "while :; do echo .; sleep 0.05; done")
    )
    time.sleep(0.3)
    assert cinspect.ok("pause", "cold") == "cold\n"
    assert "(Paused)" in cinspect.ok("ps")
    before = cinspect.ok("logs", "cold")
    assert cinspect.run("exec", "cold", "true").returncode == 125
    assert cinspect.ok("logs", "cold") == before
    assert cinspect.ok("unpause", "cold") == "cold\n"
    time.sleep(0.3)
    assert len(cinspect.ok("logs", "cold")) > len(before)
    assert cinspect.run("thaw", "cold").returncode == 1


def test_logs_follow_to_the_end_with_both_streams(cinspect):
    script = "for i in 1 2 3 4 5 6; do echo out $i; echo err $i >&2; sleep 0.1; done"
    cinspect.detached("--name", "talker", "@host", "sh", "-c", script)
    done = cinspect.run("logs", "-f", "talker")
    assert done.returncode == 0
    assert done.stdout.decode().split("\n")[:-1] == [f"out {n}" for n in range(1, 7)]
    assert done.stderr.decode().split("\n")[:-1] == [f"err {n}" for n in range(1, 7)]


def test_logs_tail_since_and_timestamps(cinspect):
    script = "seq 1 50; sleep 1.2; echo late"
    cinspect.run("run", "--name", "many", "@host", "sh", "-c", script)
    assert cinspect.ok("logs", "--tail", "3", "many") == "49\n50\nlate\n"
    assert cinspect.ok("logs", "-n", "0", "many") == ""
    assert cinspect.ok("logs", "-n", "all", "many").startswith("1\n2\n")
    line = cinspect.ok("logs", "-t", "--tail", "1", "many")
    stamp, _, text = line.partition(" ")
    assert text == "late\n"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()) < 60
    assert cinspect.ok("logs", "--since", stamp[:19], "many") == "late\n"
    assert cinspect.ok("logs", "--since", "1h", "many").startswith("1\n")
    assert cinspect.run("logs", "--since", "yesterday", "many").returncode == 2


def test_logs_of_bytes_are_the_same_bytes(cinspect):
    cinspect.run("run", "--name", "raw", "@host", "printf", r"\033[31m\377\000end")
    done = cinspect.run("logs", "raw")
    assert done.stdout == b"\x1b[31m\xff\x00end"


def test_ps_has_what_docker_has(cinspect):
    first = cinspect.detached("--name", "one", "@host", "sleep", "60")
    second = cinspect.ok("create", "--name", "two", "--rootfs", "/", "true").strip()
    lines = cinspect.ok("ps", "-a").splitlines()
    assert lines[0].split("  ")[0] == "CONTAINER ID"
    assert [line.split()[-1] for line in lines[1:]] == ["two", "one"]
    assert re.search(rf'{first[:12]} +@host +"sleep 60" +\w+ ago +Up \w+ +one', lines[2])
    assert cinspect.ok("ps", "-aq").split() == [second[:12], first[:12]]
    found = json.loads(cinspect.ok("ps", "--format", "json"))
    assert [one["name"] for one in found] == ["one"]
    assert found[0]["id"] == first
    assert found[0]["status"] == "running"
    assert cinspect.ok("ps", "--no-trunc").splitlines()[1].startswith(first)


def test_inspect_is_an_array_with_the_spec(cinspect):
    cinspect.detached("--name", "one", "--label", "k=v", "@host", "sleep", "60")
    done = cinspect.run("inspect", "one", "none")
    assert done.returncode == 1
    assert b"'none'" in done.stderr
    (found,) = json.loads(done.stdout)
    assert found["labels"] == {"k": "v"}
    assert found["spec"]["process"]["args"] == ["sleep", "60"]
    assert Path(f"/proc/{found['pid']}/comm").read_text() == "sleep\n"
    assert Path(f"/proc/{found['shim']['pid']}").exists()


def test_diff_says_what_changed(cinspect):
    script = "echo x >> /etc/motd; rm /etc/issue; mkdir /srv/new; echo y > /srv/new/file"
    cinspect.run("run", "--name", "changer", "@host", "sh", "-c", script)
    lines = cinspect.ok("diff", "changer").splitlines()
    assert {"C /etc", "C /etc/motd", "D /etc/issue", "A /srv/new", "A /srv/new/file"} <= set(lines)
    assert Path("/etc/issue").exists()


def test_top_has_both_numbers_of_a_process(cinspect):
    cinspect.detached("--name", "pair", "@host", "sh", "-c", "sleep 61 & sleep 62 & wait")
    time.sleep(0.3)
    lines = cinspect.ok("top", "pair").splitlines()
    assert lines[0].split() == [
        "PID",
        "INSIDE",
        "PPID",
        "UID",
        "STATE",
        "THREADS",
        "CPU",
        "RSS",
        "COMMAND",
    ]
    assert min(line.split()[1] for line in lines[1:]) == "1"
    assert {"sleep 61", "sleep 62"} <= {line.split("   ")[-1].strip() for line in lines[1:]}


def test_exec_takes_what_it_is_told(cinspect):
    cinspect.detached("--name", "one", "-e", "A=1", "@host", "sleep", "60")
    done = cinspect.run(
        "exec",
        "-e",
        "B=2",
        "-w",
        "/usr",
        "-u",
        "12:34",
        "one",
        "sh",
        "-c",
        "echo $A$B; pwd; id -u; id -g; exit 6",
    )
    assert (done.returncode, done.stdout) == (6, b"12\n/usr\n12\n34\n")
    assert cinspect.run("exec", "one", "no-such-1").returncode == 127
    assert cinspect.run("exec", "one", "/etc").returncode == 126
    assert cinspect.run("exec", "none", "true").returncode == 125
    assert cinspect.run("exec", "one", "sh", "-c", "kill -9 $$").returncode == 137
    assert cinspect.ok("exec", "-d", "one", "touch", "/srv/made") == ""
    time.sleep(0.3)
    assert "A /srv/made" in cinspect.ok("diff", "one")
    data = bytes(range(256)) * 4000
    assert cinspect.run("exec", "-i", "one", "cat", stdin=data).stdout == data


def test_an_exec_whose_child_stays_behind_returns(cinspect):
    cinspect.detached("--name", "one", "@host", "sleep", "60")
    started = time.monotonic()
    done = cinspect.run("exec", "one", "sh", "-c", "sleep 50 & echo started")
    assert done.stdout == b"started\n"
    assert time.monotonic() - started < 20


def test_events_are_in_order(cinspect):
    container = cinspect.detached("--name", "one", "@host", "sleep", "60")
    cinspect.ok("freeze", "one")
    cinspect.ok("thaw", "one")
    cinspect.ok("exec", "one", "true")
    cinspect.ok("rm", "-f", "one")
    lines = (cinspect.state / "events" / "journal.ndjson").read_text().splitlines()
    topics = [json.loads(line)["topic"] for line in lines if container in line]
    wanted = [
        "/containers/create",
        "/tasks/create",
        "/tasks/start",
        "/tasks/paused",
        "/tasks/resumed",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/exit",
    ]
    found = [topic for topic in topics if topic in wanted]
    assert list(dict.fromkeys(found)) == wanted


def test_rm_of_a_frozen_one_works(cinspect):
    cinspect.detached("--name", "cold", "@host", "sleep", "60")
    cinspect.ok("freeze", "cold")
    assert cinspect.ok("rm", "-f", "cold") == "cold\n"
    assert not cinspect.remains()


WITHOUT_ROOT = """
import importlib, os, shutil, sys
from inspector.cli import main
import runtime.api
for verb in main.VERBS:  # before the interpreter itself may become unreadable
    if verb.name in sys.argv:
        importlib.import_module(verb.module)
os.setgid(65534)
os.setuid(65534)
sys.exit(main.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("run", "@host", "true"), 125),
        (("create", "@host"), 125),
        (("rm", "x"), 1),
        (("stop", "x"), 1),
    ],
)
def test_without_root_each_verb_says_so_and_changes_nothing(tmp_path, words, status):
    where = ("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOT, *where, *words],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.endswith(b"needs root: nothing was changed; try it with sudo\n")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_rename_gives_another_name(cinspect):
    container = cinspect.ok("create", "--name", "before", "@host", "true").strip()
    assert cinspect.ok("rename", "before", "after") == ""
    assert json.loads(cinspect.ok("inspect", "after"))[0]["id"] == container
    done = cinspect.run("rename", "after", "a b")
    assert done.returncode == 1
    assert b"no container name" in done.stderr
