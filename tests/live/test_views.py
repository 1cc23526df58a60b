"""What is seen with less than root on the host: it is less, it says so, and nothing of it is wrong."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import command
from tests.live.engine import Engine

pytestmark = pytest.mark.root

AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def dump(engine: Engine, *before: str, options: tuple[str, ...] = ()) -> Any:
    words = (*before, command.CINSPECT, *engine.options, "dump", *options)
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def only(frame: Any, identifier: str) -> Any:
    (found,) = (each for each in frame["containers"] if each["id"] == identifier)
    return found


def messages(frame: Any) -> str:
    return "\n".join(error["message"] for error in frame["errors"])


def agrees(less: Any, more: Any, path: str = "") -> Iterator[str]:
    """Yield where a view with less rights says something else: null and empty are no statement."""
    if less in (None, [], {}, ""):
        return
    if isinstance(less, dict):
        for key, value in less.items():
            yield from agrees(value, more.get(key) if more else None, f"{path}.{key}")
    elif less != more:
        yield f"{path}: {less!r}, with root {more!r}"


STEADY = ("id", "pid", "pids", "status", "namespaces", "cgroups", "shared_with_host", "security")
"""What of a container that sleeps does not change between two looks."""


def test_without_root_it_is_less_and_nothing_else(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        more = only(engine.dump(), identifier)
        frame = dump(engine, *AS_NOBODY)
        less = only(frame, identifier)
    assert less["pid"] == more["pid"]
    for key in STEADY:
        assert not list(agrees(less[key], more[key], key))
    assert "Permission denied" in messages(frame)
    assert any("may not be read" in each for each in less["evidence"])


def test_hidden_processes_are_said_to_be_hidden(engine: Engine) -> None:
    script = f'mount -t proc -o hidepid=2 proc /proc && exec {shlex.join(AS_NOBODY)} "$@"'
    with engine.running("sleep", "1000") as identifier:
        frame = dump(engine, "unshare", "--mount", "sh", "-c", script, "sh")
    assert "hidepid" in messages(frame)
    assert identifier not in [each["id"] for each in frame["containers"]]
    assert {each["uid"] for each in frame["processes"]} == {65534}


def test_within_a_container_the_host_is_not_claimed(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        words = ("run", "--rm", "--hostname", "within", "@host", command.CINSPECT)
        frame = json.loads(engine(*words, "--root", "/tmp/r", "--state", "/tmp/s", "dump"))
    assert "within a container" in messages(frame)
    assert frame["host"]["hostname"] == "within"
    assert identifier not in [each["id"] for each in frame["containers"]]
    assert len(frame["processes"]) <= 3


def test_proc_of_another_pid_namespace_is_read_and_labelled(engine: Engine) -> None:
    with engine.running("sleep", "1000") as identifier:
        more = only(engine.dump(), identifier)
        frame = dump(engine, "unshare", "--pid", "--fork")
        less = only(frame, identifier)
    assert "another pid namespace" in messages(frame)
    for key in STEADY:
        assert not list(agrees(less[key], more[key], key))


def test_nothing_is_done_to_pids_of_another_pid_namespace(tmp_path: Path) -> None:
    """The pid that is meant is another process here, or none: it must not be signalled."""
    sleeper = subprocess.Popen(
        ("unshare", "--kill-child", "--fork", "--uts", "--net", "--mount", "sleep", "1000")
    )
    try:
        stores = ("--root", str(tmp_path / "data"), "--state", str(tmp_path / "state"))
        found = command.eventually(
            lambda: [
                each["id"]
                for each in command.dump(*stores, "dump", "--section", "containers")["containers"]
                if sleeper.pid in each["pids"] or str(sleeper.pid) in each["id"]
            ]
        )
        done = subprocess.run(
            ("unshare", "--pid", "--fork", command.CINSPECT, *stores, "kill", found[0]),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "another pid namespace" in done.stderr
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
