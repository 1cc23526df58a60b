"""A container through its life by the command line: each command does what it says, or says why not."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests import command
from tests.live import host
from tests.runtime.command.conftest import NOTHING

pytestmark = pytest.mark.root


def test_a_created_container_waits_until_it_is_started(runtime):
    runtime.sleeper("one")
    state = runtime.state("one")
    assert state["status"] == "created"
    assert os.path.exists(f"/proc/{state['pid']}")
    runtime("start", "one")
    assert runtime.state("one") == state | {"status": "running"}
    with open(f"/proc/{state['pid']}/comm") as file:
        assert file.read() == "sleep\n"


def test_the_state_has_what_the_specification_says(runtime):
    runtime.sleeper("one", annotations={"flower": "rose"})
    state = runtime.state("one")
    assert state["ociVersion"] == "1.2.1"
    assert state["id"] == "one"
    assert state["bundle"] == str(runtime.made[0])
    assert state["rootfs"] == str(runtime.directory / "rootfs")
    assert state["annotations"] == {"flower": "rose"}


def test_starting_twice_is_an_error_and_changes_nothing(runtime):
    runtime.running("one")
    done = runtime("start", "one", check=False)
    assert done.returncode == 1
    assert "running" in done.stderr
    assert runtime.state("one")["status"] == "running"


@pytest.mark.parametrize("name", ["TERM", "SIGINT", "1"])
def test_a_signal_ends_an_init_that_waits(runtime, name):
    runtime.sleeper("one")
    runtime("kill", "one", name)
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    assert runtime.state("one")["pid"] == 0
    done = runtime("start", "one", check=False)
    assert "has stopped" in done.stderr


def test_a_stopped_container_takes_no_signal(runtime):
    runtime.running("one")
    runtime("kill", "one", "KILL")
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    done = runtime("kill", "one", check=False)
    assert done.returncode == 1
    assert "container not running" in done.stderr
    assert runtime("kill", "--all", "one", "KILL").returncode == 0


def test_a_signal_can_reach_all_processes(runtime):
    runtime.running("one", hostname="", linux={"namespaces": [{"type": "mount"}]})
    runtime.quietly("exec", "--detach", "one", "sleep", "1000")
    assert len(json.loads(runtime("ps", "--format", "json", "one").stdout)) == 2
    runtime("kill", "one", "KILL")
    command.eventually(lambda: json.loads(runtime("ps", "--format", "json", "one").stdout) == [])


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a\nb", "a b", "x" * 1025])
def test_what_is_no_id_is_refused(runtime, name):
    done = runtime("create", "--bundle", runtime.bundle("true"), "--", name, check=False)
    assert done.returncode == 1
    assert "invalid container ID" in done.stderr
    assert runtime.left() == NOTHING


def test_an_id_is_used_once_at_a_time(runtime):
    runtime.running("one")
    done = runtime("create", "--bundle", runtime.bundle("true"), "one", check=False)
    assert "container with id exists" in done.stderr
    assert runtime.state("one")["status"] == "running"
    runtime("delete", "--force", "one")
    runtime.running("one")


def test_a_running_container_is_deleted_by_force_only(runtime):
    runtime.running("one")
    pid = runtime.state("one")["pid"]
    done = runtime("delete", "one", check=False)
    assert done.returncode == 1
    assert "not stopped" in done.stderr
    runtime("delete", "--force", "one")
    assert not os.path.exists(f"/proc/{pid}/exe")
    assert runtime.left() == NOTHING


def test_a_container_that_is_not_there_is_told_of(runtime):
    for words in (
        ("state", "no"),
        ("start", "no"),
        ("kill", "no"),
        ("delete", "no"),
        ("exec", "no", "true"),
    ):
        done = runtime(*words, check=False)
        assert done.returncode == (255 if words[0] == "exec" else 1)
        assert "does not exist" in done.stderr
    assert runtime("delete", "--force", "no").returncode == 0


def test_a_pid_that_was_used_again_is_not_the_container(runtime):
    runtime.running("one")
    runtime("kill", "one", "KILL")
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    path = runtime.directory / "state" / "one" / "state.json"
    record = json.loads(path.read_text())
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            path.write_text(json.dumps(record | {"pid": other.pid}))
            assert runtime.state("one")["status"] == "stopped"
            assert runtime("kill", "one", "KILL", check=False).returncode == 1
            runtime("delete", "--force", "one")
            assert other.poll() is None
        finally:
            other.kill()


def test_what_is_changed_in_the_bundle_after_create_has_no_effect(runtime):
    bundle = runtime.bundle("sh", "-c", "echo before")
    out = runtime.directory / "out"
    with out.open("wb") as file:
        subprocess.run(
            (*runtime.command, "--root", str(runtime.directory / "state"), "create", "-b", bundle, "one"),
            check=True, stdout=file, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    path = runtime.made[0] / "config.json"
    path.write_text(path.read_text().replace("before", "after"))
    runtime("start", "one")
    command.eventually(lambda: runtime.state("one")["status"] == "stopped")
    assert out.read_text() == "before\n"


def test_nor_has_it_on_what_comes_later(runtime):
    """One more process and the hooks are by the spec as it was (runtime.md, "create")."""
    runtime.running("one")
    path = runtime.made[0] / "config.json"
    spec = json.loads(path.read_text())
    touched = runtime.directory / "touched"
    spec["process"]["noNewPrivileges"] = False
    spec["hooks"] = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(touched)]}]}
    path.write_text(json.dumps(spec))
    assert "NoNewPrivs:\t1" in runtime("exec", "one", "cat", "/proc/self/status").stdout
    runtime("delete", "--force", "one")
    assert not touched.exists()


def test_run_gives_output_and_status_and_leaves_nothing(runtime):
    bundle = runtime.bundle("sh", "-c", "cat; exit 9")
    done = runtime("run", "--bundle", bundle, "one", stdin="a rose\n", check=False)
    assert (done.returncode, done.stdout) == (9, "a rose\n")
    assert runtime.left() == NOTHING
    done = runtime(
        "run",
        "--bundle",
        runtime.bundle(
            "sh",
            "-c",
            "kill -9 $$; sleep 9",
            hostname="",
            linux={"namespaces": [{"type": "mount"}]},
        ),
        "one",
        check=False,
    )
    assert done.returncode == 137


def test_run_hands_signals_on(runtime):
    bundle = runtime.bundle("sh", "-c", "trap 'exit 5' TERM; echo on; while :; do sleep 0.1; done")
    words = (
        *runtime.command,
        "--root",
        str(runtime.directory / "state"),
        "run",
        "-b",
        bundle,
        "one",
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as running:
        assert running.stdout.readline() == b"on\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 5


def test_run_detached_keeps_what_it_has_made(runtime):
    pid_file = runtime.directory / "pid"
    words = (
        "run",
        "--detach",
        "--pid-file",
        str(pid_file),
        "--bundle",
        runtime.bundle("sleep", "1000"),
        "one",
    )
    runtime.quietly(*words)
    assert runtime.state("one")["pid"] == int(pid_file.read_text())


def test_a_command_that_is_not_there_is_told_at_create(runtime):
    done = runtime("create", "--bundle", runtime.bundle("nonesuch"), "one", check=False)
    assert done.returncode == 1
    assert "nonesuch: executable file not found" in done.stderr
    assert runtime.left() == NOTHING


def test_what_fails_after_the_start_is_told_by_the_start(runtime):
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo wilted; exit 3"]}
    told = {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {runtime.directory}/told"]}
    for kind in ("startContainer", "poststart"):
        runtime.sleeper("one", hooks={kind: [hook], "poststop": [told]})
        done = runtime("start", "one", check=False)
        assert done.returncode == 1
        assert "wilted" in done.stderr
        assert runtime.left() == NOTHING
        state = json.loads((runtime.directory / "told").read_text())
        assert (state["id"], state["status"]) == ("one", "stopped")
        (runtime.directory / "told").unlink()


def test_a_hook_after_the_end_that_fails_stops_nothing(runtime):
    second = {"path": "/bin/touch", "args": ["touch", str(runtime.directory / "second")]}
    runtime.running("one", hooks={"poststop": [{"path": "/bin/false"}, second]})
    done = runtime("delete", "--force", "one")
    assert "hooks.poststop[0]: /bin/false ended with 1" in done.stderr
    assert (runtime.directory / "second").exists()


def test_a_hook_in_the_container_that_takes_too_long_ends_it(runtime):
    slow = {"path": "/bin/sleep", "args": ["sleep", "50"], "timeout": 1}
    bundle = runtime.bundle("true", hooks={"startContainer": [slow]})
    done = runtime("run", "--bundle", bundle, "one", check=False)
    assert done.returncode == 1
    assert "hooks.startContainer[0].timeout: /bin/sleep takes longer than 1 seconds" in done.stderr


def test_all_hooks_run_in_their_order_and_get_the_state(runtime):
    said = runtime.directory / "rootfs" / "data" / "said"
    inside = ("createContainer", "startContainer")
    hooks = {
        kind: [
            {
                "path": "/bin/sh",
                "args": [
                    "sh",
                    "-c",
                    f"echo {kind} $(cat) >> {'/data/said' if kind == 'startContainer' else said}",
                ],
                "env": ["PATH=/bin:/usr/bin"],
            }
        ]
        for kind in ("prestart", "createRuntime", *inside, "poststart", "poststop")
    }
    runtime.running("one", hooks=hooks, root={"readonly": False})
    runtime("delete", "--force", "one")
    lines = [line.split(" ", 1) for line in said.read_text().splitlines()]
    assert [kind for kind, _ in lines] == list(hooks)
    states = {kind: json.loads(text) for kind, text in lines}
    assert {each["id"] for each in states.values()} == {"one"}
    assert {each["bundle"] for each in states.values()} == {str(runtime.made[0])}
    statuses = [each["status"] for each in states.values()]
    assert statuses == ["creating", "creating", "creating", "created", "running", "stopped"]


def test_pausing_stops_and_resuming_goes_on(runtime):
    runtime.running("one")
    runtime("pause", "one")
    assert runtime.state("one")["status"] == "paused"
    assert "paused" in runtime("exec", "one", "true", check=False).stderr
    assert runtime("pause", "one", check=False).returncode == 1
    runtime("resume", "one")
    assert runtime.state("one")["status"] == "running"
    assert runtime("resume", "one", check=False).returncode == 1
    runtime("exec", "one", "true")


def test_a_paused_container_is_deleted_by_force(runtime):
    runtime.running("one")
    runtime("pause", "one")
    runtime("delete", "--force", "one")
    assert runtime.left() == NOTHING


def test_containers_are_listed(runtime):
    assert json.loads(runtime("list", "--format", "json").stdout) == []
    runtime.sleeper("one")
    runtime.running("two")
    rows = json.loads(runtime("list", "-f", "json").stdout)
    assert [(row["id"], row["status"], row["owner"]) for row in rows] == [
        ("one", "created", "root"),
        ("two", "running", "root"),
    ]
    assert runtime("list", "-q").stdout == "one\ntwo\n"
    lines = runtime("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [line.split()[0] for line in lines[1:]] == ["one", "two"]


def test_limits_change_while_it_runs(runtime):
    host.require("memory", "pids", "cpu")
    runtime.running(
        "one", linux={"resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 40}}}
    )
    runtime("update", "--memory", "96m", "--pids-limit", "50", "--cpu-share", "512", "one")
    stats = json.loads(runtime("events", "--stats", "one").stdout)["data"]
    assert stats["memory"]["usage"]["limit"] == 96 << 20
    assert stats["pids"] == {"current": 1, "limit": 50}
    runtime(
        "update",
        "--resources",
        "-",
        "one",
        stdin='{"pids": {"limit": 60}, "memory": {"limit": 0}, "cpu": {"shares": 0, "quota": 0, "period": 0}}',
    )
    stats = json.loads(runtime("events", "--stats", "one").stdout)["data"]
    assert stats["pids"]["limit"] == 60
    assert stats["memory"]["usage"]["limit"] == 96 << 20


@pytest.mark.parametrize(
    ("controller", "words"),
    [
        ("memory", ("--memory", "96m")),
        ("pids", ("--pids-limit", "50")),
        ("cpu", ("--cpu-share", "512")),
        ("cpuset", ("--cpuset-cpus", "0")),
    ],
)
def test_a_limit_changes_or_is_refused_by_its_controllers_name(runtime, controller, words):
    runtime.running("one")
    done = runtime("update", *words, "one", check=False)
    if controller in host.controllers():
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert f"the {controller} controller is not available on this host" in done.stderr
    assert runtime.state("one")["status"] == "running"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ('{"memory": {"limit": "much"}}', "memory.limit"),
        ('{"pids": 5}', "pids"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_limits_that_are_none_are_named(runtime, given, named):
    runtime.running("one")
    done = runtime("update", "--resources", "-", "one", stdin=given, check=False)
    assert done.returncode == 1
    assert named in done.stderr


def test_a_runtime_that_is_killed_anywhere_leaves_what_delete_removes(runtime):
    for milliseconds in (20, 40, 60, 80, 100, 130, 160):
        bundle = runtime.bundle("sleep", "1000")
        words = (
            *runtime.command,
            "--root",
            str(runtime.directory / "state"),
            "create",
            "-b",
            bundle,
            "one",
        )
        silent = subprocess.DEVNULL
        with subprocess.Popen(words, stdin=silent, stdout=silent, stderr=silent) as creating:
            time.sleep(milliseconds / 1000)
            creating.kill()
        runtime("delete", "--force", "one")
        command.eventually(lambda: runtime.left() == NOTHING)


def test_two_starts_at_once_start_it_once(runtime):
    runtime.sleeper("one")
    words = (*runtime.command, "--root", str(runtime.directory / "state"), "start", "one")
    starting = [subprocess.Popen(words, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert sorted(each.wait(30) for each in starting) == [0, 1, 1]
