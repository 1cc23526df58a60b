"""The command line: options before and after the verb, one line for a failure, exit statuses, pipes."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inspector.cli import options
from inspector.cli.main import VERBS, main

FIXTURES = Path(__file__).parent.parent / "fixtures"
MAIN = [sys.executable, "-m", "inspector.cli.main"]


def cinspect(*arguments, **more):
    return subprocess.run(
        [*MAIN, *arguments], capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.fixture(scope="module")
def recorded():
    return ("--host-root", str(FIXTURES / "v2-systemd"))


def test_the_version_is_printed():
    done = cinspect("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cinspect ")


@pytest.mark.parametrize(
    ("verb", "redirection", "status", "said"),
    [
        ("dump", ">&-", 1, "cinspect: Bad file descriptor\n"),
        ("schema", ">&-", 1, "cinspect: Bad file descriptor\n"),
        ("no-such-verb", "2>&-", 2, ""),
    ],
)
def test_a_standard_stream_that_is_closed_is_no_defect(recorded, verb, redirection, status, said):
    script = f'"$@" {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *MAIN, *recorded, verb],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_the_help_lists_every_verb_and_imports_none():
    code = (
        "import sys, inspector.cli.main as m; m.main(['--help']);"
        "print([n for n in sys.modules if n.startswith('inspector.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb in VERBS:
        assert f"\n  {verb.name}" in done.stdout
    assert "inspector.cli.dump" not in done.stderr


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_each_verbs_help_has_examples(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"cinspect {verb}" in shown
    assert "examples:" in shown
    assert "--host-root" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host-root", "DIR", "dump", "--section", "processes"),
        ("dump", "--section", "processes", "--host-root", "DIR"),
        ("--host-root=DIR", "dump", "--section=processes"),
        ("--read-only", "--host-root", "DIR", "dump", "--no-color", "--section", "processes"),
    ],
)
def test_global_options_go_before_and_after_the_verb(arguments, recorded):
    done = cinspect(*(word.replace("DIR", recorded[1]) for word in arguments))
    assert done.returncode == 0, done.stderr
    assert {one["comm"] for one in json.loads(done.stdout)["processes"]} >= {"systemd", "dockerd"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dmp",), "did you mean dump?"),
        (("nothing-like-it",), "see cinspect --help"),
        (("dump", "--section", "nothing"), "'nothing' is none of"),
        (("dump", "--interval", "soon"), "not a duration"),
        (("dump", "--interval", "0"), "too short"),
        (("watch", "--count", "0"), "not a number above zero"),
        (("dump", "left", "over"), "left"),
        (("--log-level", "loud", "dump"), "loud"),
        (("--root",), "--root"),
        (("events", "--filter", "colour=red"), "colour"),
        (("events", "--since", "yore"), "not a time"),
        (("dump", "--sect", "mounts"), "--sect"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(arguments, says):
    done = cinspect(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert says in done.stderr


def test_a_failure_is_1_with_one_line_on_stderr(recorded):
    done = cinspect("dump", "--container", "no\x1bbody", *recorded)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("cinspect: there is no container")
    assert "\x1b" not in done.stderr


def test_a_host_root_without_proc_is_said(tmp_path):
    done = cinspect("dump", "--host-root", str(tmp_path))
    assert done.returncode == 1
    assert "nothing to inspect" in done.stderr


def test_an_unexpected_exception_is_one_line_and_the_log_has_the_rest(tmp_path):
    log = tmp_path / "log"
    code = f"""
import sys
from inspector.cli import schema
from inspector.cli.main import main
schema.run = lambda args: 1 / 0
sys.exit(main(["--log-file", {str(log)!r}, "schema"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cinspect: unexpected ZeroDivisionError: division by zero")
    assert done.stderr.count("\n") == 1
    assert "Traceback" in log.read_text()


def test_a_full_disk_is_a_failure():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*MAIN, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "cinspect: No space left on device\n"


def test_a_reader_that_goes_away_ends_it_quietly(recorded):
    with subprocess.Popen(
        [*MAIN, "watch", "--interval", "10ms", *recorded],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=30) == 141
        assert process.stderr.read() == b""


def test_an_interrupt_is_130_without_a_traceback(recorded):
    with subprocess.Popen(
        [*MAIN, "watch", "--interval", "50ms", *recorded],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b""
    assert all(json.loads(line) for line in rest.splitlines())


def test_watch_prints_so_many_lines_each_at_once(recorded):
    began = time.monotonic()
    done = cinspect("watch", "--count", "3", "--interval", "0.2", "--section", "events", *recorded)
    assert done.returncode == 0
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 3
    assert time.monotonic() - began > 0.4


def test_an_interval_gives_rates(recorded):
    done = cinspect("dump", "--interval", "50ms", "--section", "processes", *recorded)
    processes = json.loads(done.stdout)["processes"]
    assert all(one["busy_cores"] == 0 for one in processes)


def test_only_the_sections_that_were_asked_for_are_there(recorded):
    done = cinspect("dump", "--section", "namespaces,mounts", "--section", "events", *recorded)
    assert set(json.loads(done.stdout)) == {
        "schema_version", "taken_at", "cost", "host", "engines", "errors",
        "namespaces", "mounts", "filesystems", "events",
    }  # fmt: skip


def test_a_container_narrows_every_section(recorded):
    everything = json.loads(cinspect("dump", *recorded).stdout)
    web = next(one for one in everything["containers"] if one["resources"]["pids"]["limit"] == 50)
    done = cinspect("dump", "--container", web["id"][:6], *recorded)
    chosen = json.loads(done.stdout)
    assert [one["id"] for one in chosen["containers"]] == [web["id"]]
    assert {one["pid"] for one in chosen["processes"]} == set(web["pids"])
    assert {one["namespace"] for one in chosen["mounts"]} == {web["namespaces"]["mnt"]}
    assert {one["container"] for one in chosen["cgroups"]} == {web["id"]}


def test_a_file_is_written_whole_and_keeps_its_mode(recorded, tmp_path):
    path = tmp_path / "frame.json"
    path.write_text("old")
    path.chmod(0o640)
    assert cinspect("dump", "--output", str(path), "--pretty", *recorded).returncode == 0
    assert json.loads(path.read_text())["schema_version"] == "1"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["frame.json"]


def test_a_file_that_cannot_be_written_leaves_nothing(recorded, tmp_path):
    done = cinspect("dump", "--output", str(tmp_path / "no" / "frame.json"), *recorded)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_file_is_left_as_it_was_when_the_dump_fails(recorded, tmp_path):
    path = tmp_path / "frame.json"
    path.write_text("old")
    done = cinspect("dump", "--output", str(path), "--container", "nobody", *recorded)
    assert done.returncode == 1
    assert path.read_text() == "old"


def test_doctor_says_why_something_is_missing(recorded):
    done = cinspect("doctor", "--json", *recorded)
    assert done.returncode == 0
    found = {(one["subject"], one["what"]): one for one in json.loads(done.stdout)}
    assert found["cgroups", "mode unified"]["ok"] is True
    assert found["cgroups", "cgroup.kill"]["ok"] is True
    assert all(one["reason"] for one in found.values())


def test_doctor_tells_people_in_lines():
    done = cinspect("doctor")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    for subject in ("kernel", "user", "namespaces", "cgroups", "filesystems", "security"):
        assert f"\n{subject}\n" in f"\n{done.stdout}"


def test_events_that_are_kept_end_without_following():
    done = cinspect("events", "--no-follow", "--format", "text")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64m", 64 << 20),
        ("1.5g", 3 << 29),
        ("4096", 4096),
        ("1KiB", 1024),
        ("2 kb", 2048),
        ("0", 0),
    ],
)
def test_sizes(text, value):
    assert options.size(text) == value


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1 mm", "\u0661", "1e3"])
def test_what_is_no_size(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
        options.size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("2", 2), ("1.5s", 1.5), ("1h30m", 5400), ("1d", 86400), ("250us", 0.00025)],
)
def test_durations(text, value):
    assert options.duration(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "s", "1 h", "1h30", "-1s", "1w", "nan", "inf"])
def test_what_is_no_duration(text):
    with pytest.raises(argparse.ArgumentTypeError):
        options.duration(text)


def settings(*arguments):
    parser = argparse.ArgumentParser()
    options.add_globals(parser)
    return options.settings(parser.parse_args(arguments))


def test_without_root_the_directories_are_the_users(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/me/data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    chosen = settings()
    assert (chosen.root, chosen.state) == ("/home/me/data/cinspect", f"{tmp_path}/cinspect")


def test_colour_is_off_by_option_and_by_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert settings().color
    assert not settings("--no-color").color
    monkeypatch.setenv("NO_COLOR", "1")
    assert not settings().color


def test_paths_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert settings("--root", "data").root == str(tmp_path / "data")


def test_watching_may_keep_as_many_files_open_as_the_hard_limit_allows(tmp_path):
    where = ("--root", str(tmp_path / "data"), "--state", str(tmp_path / "state"))
    words = [*where, "watch", "--count", "1", "--section", "images"]
    script = (
        "import resource, sys\n"
        "from inspector.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 900))\n"
        f"main({words!r})\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "900"
