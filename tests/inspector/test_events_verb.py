"""`cinspect events` on a prepared journal: what is kept, from when to when, and in which form."""

import contextlib
import json
import os
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inspector.domains.events.model import Event
from inspector.journal import Journal
from tests import command
from tests.engines import seen

NOW = datetime.now(UTC)
A = "f" * 64


def event(minutes: float, topic: str, source: str = "docker", **body: object) -> Event:
    return Event(
        timestamp=NOW - timedelta(minutes=minutes),
        source=source,
        topic=topic,
        engine_namespace=None,
        container=A,
        container_name="web\x1b[2J",
        event=body,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory of persistent data whose journal has some events."""
    with contextlib.closing(Journal(str(tmp_path / "events"), boot_id="b", write=True)) as journal:
        journal.append(
            [
                event(90, "/container/create"),
                event(60, "/container/start"),
                event(30, "/container/die", exitCode="\x1b]0;owned\x07\u202e"),
                event(30, "/tasks/exit", "containerd", id=A, container_id=A, pid=5),
                event(5, "process-exit", "kernel", pid=5),
            ]
        )
    return tmp_path


def told(data: Path, *arguments: str) -> str:
    options = ("--root", str(data), "--state", str(data / "none"))
    return command.succeed(
        *options,
        "events",
        "--no-follow",
        "--filter",
        f"container={A}",
        *arguments,
        environment=seen.HIDDEN,
    )


def topics(output: str) -> list[str]:
    return [json.loads(line)["topic"] for line in output.splitlines()]


def test_what_is_kept_is_told_from_when_to_when_one_likes(data: Path) -> None:
    assert topics(told(data)) == [
        "/container/create",
        "/container/start",
        "/container/die",
        "process-exit",
    ]
    assert topics(told(data, "--since", "40m")) == ["/container/die", "process-exit"]
    assert topics(told(data, "--since", "70m", "--until", "20m")) == [
        "/container/start",
        "/container/die",
    ]
    assert topics(told(data, "--until", f"{NOW - timedelta(minutes=70):%Y-%m-%dT%H:%M:%SZ}")) == [
        "/container/create"
    ]


def test_accounts_are_joined_unless_they_are_wanted_raw(data: Path) -> None:
    (died,) = told(data, "--filter", "topic=/container/die").splitlines()
    assert [one["source"] for one in json.loads(died)["seen_by"]] == ["containerd"]
    assert topics(told(data, "--raw", "--since", "40m")) == [
        "/container/die",
        "/tasks/exit",
        "process-exit",
    ]


def test_text_has_no_escape_sequence_of_a_containers(data: Path) -> None:
    output = told(data, "--format", "text")
    assert all(line.isprintable() for line in output.splitlines())
    assert "web\\x1b[2J" in output
    assert "also: containerd /tasks/exit" in output


def test_what_it_reads_once_it_does_not_write(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    told(data)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


@pytest.mark.root
@pytest.mark.parametrize("user", ["read-only", "another"])
def test_who_may_only_look_or_is_not_root_writes_no_journal(tmp_path: Path, user: str) -> None:
    data = tmp_path / "data"
    options = ["--root", str(data), "--state", str(tmp_path / "state")]
    prefix: tuple[str, ...] = ()
    if user == "read-only":
        options.append("--read-only")
    else:
        data.mkdir()
        os.chmod(data, 0o777)
        for above in (tmp_path, *tmp_path.parents[:-2]):
            os.chmod(above, os.stat(above).st_mode | 0o5)
        prefix = ("setpriv", "--reuid", "65534", "--clear-groups")
    arguments = ("watch", "--section", "events", "--interval", "0.2", "--count", "3")
    done = command.subprocess.run(
        (*prefix, command.CINSPECT, *options, *arguments),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **seen.HIDDEN, "HOME": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert not (data / "events").exists()


@pytest.mark.root
def test_what_watch_heard_is_there_for_events_after_a_reboot(tmp_path: Path) -> None:
    data, state = tmp_path / "data", tmp_path / "state"
    name = f"cinspect-test-heard-{os.getpid()}"
    top = Path("/sys/fs/cgroup")
    hierarchy = top / "pids" if (top / "pids").is_dir() else top
    options = ("--root", str(data), "--state", str(state))
    with command.subprocess.Popen(
        (command.CINSPECT, *options, "watch", "--section", "events", "--interval", "0.3"),
        stdout=command.subprocess.PIPE,
        env={**os.environ, **seen.HIDDEN},
    ) as watching:
        assert watching.stdout is not None
        for _ in range(3):
            watching.stdout.readline()
        (hierarchy / name).mkdir()
        (hierarchy / name).rmdir()
        for _ in range(3):
            watching.stdout.readline()
        watching.kill()
    # What is below /run is gone then.
    shutil.rmtree(state, ignore_errors=True)
    kept = command.succeed(
        *options,
        "events",
        "--since",
        "5m",
        "--no-follow",
        "--filter",
        name,
        environment=seen.HIDDEN,
    )
    assert topics(kept) == ["cgroup-made", "cgroup-removed"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.rglob("*")}
    assert modes.pop("events") == 0o700
    assert {"stream.ndjson"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("value", ["yesterday", "10", "-5m", ""])
def test_a_time_that_is_none_is_wrong_usage(value: str) -> None:
    done = command.cinspect("events", "--no-follow", f"--until={value}")
    if value == "10":
        assert done.returncode == 0  # ten seconds
    else:
        assert done.returncode == 2
        assert "not a time" in done.stderr
