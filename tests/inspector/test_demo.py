"""The demo container: alive, limited, with a file of every kind in its upper layer, and gone at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inspector.demo import container
from tests import requirements, traces
from tests.live import host as host_kind

REPOSITORY = Path(__file__).parents[2]


def test_its_script_does_nothing_outside_of_a_container(tmp_path):
    done = subprocess.run(
        ["sh", container.SCRIPT], capture_output=True, cwd=tmp_path, timeout=10, check=False
    )
    assert done.returncode == 1
    assert b"nothing done" in done.stderr


@pytest.fixture
def cinspect(tmp_path):
    def run(*words: str) -> str:
        where = ("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state"))
        done = subprocess.run(
            [sys.executable, "-m", "inspector", *where, *words],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with traces.none_left(tmp_path.name):
        yield run
        run("demo", "stop")


@pytest.mark.root
def test_a_dump_right_after_the_start_shows_all_that_it_is_for(cinspect):
    identifier = cinspect("demo", "start").strip()
    dump = json.loads(cinspect("dump", "--container", "demo"))
    (demo,) = dump["containers"]
    assert demo["id"] == identifier
    assert (demo["engine"], demo["status"], demo["image"]) == ("cinspect", "running", "@host")
    assert demo["labels"]["cinspect.demo"] == "1"
    assert demo["shim"]["pid"] > 0
    host = dump["host"]["init_namespaces"]
    for kind in ("mnt", "uts", "ipc", "pid", "net", "cgroup"):
        assert demo["namespaces"][kind] != host[kind], kind
    assert demo["rootfs"]["driver"] == "overlay"
    assert {layer["role"] for layer in demo["rootfs"]["layers"]} >= {"lower", "upper", "work"}
    if {"memory", "cpu", "pids"} <= host_kind.controllers():
        assert demo["resources"]["memory"]["limit_bytes"] == 128 << 20
        assert demo["resources"]["cpu"]["limit_cores"] == 0.5
        assert demo["resources"]["pids"]["limit"] == 64


@pytest.mark.root
def test_a_second_start_finds_the_first(cinspect):
    first = cinspect("demo", "start")
    assert cinspect("demo", "start") == first
    cinspect("freeze", "demo")
    assert cinspect("demo", "start") != first


@pytest.mark.root
@pytest.mark.slow
def test_it_is_throttled_grows_changes_files_and_ends_at_once(cinspect):
    for controller in ("memory", "cpu", "pids"):
        host_kind.require(controller)
    cinspect("demo", "start")
    time.sleep(12)
    (demo,) = json.loads(cinspect("dump", "--container", "demo", "--section", "containers"))[
        "containers"
    ]
    assert demo["resources"]["cpu"]["throttled_periods"] >= 1
    assert demo["resources"]["memory"]["peak_bytes"] > 24 << 20
    assert demo["resources"]["memory"]["oom_kills"] == 0
    assert len(demo["pids"]) > 5
    changes = demo["rootfs"]["changes"]
    assert changes["opaque"] >= 1
    assert changes["deleted"] >= 1
    assert changes["modified"] + changes["copied_up"] >= 1
    assert changes["added"] >= 3
    assert "processor: busy" in cinspect("logs", "demo")
    started = time.monotonic()
    cinspect("stop", "demo")
    assert time.monotonic() - started < 5
    deadline = time.monotonic() + 10
    while cinspect("ps", "-aq") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cinspect("ps", "-aq") == ""


def test_its_name_taken_by_another_container_is_said(tmp_path):
    if os.geteuid() != 0:
        requirements.lacking("the demo needs root")
    where = ("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state"))
    argv = [sys.executable, "-m", "inspector", *where]
    with traces.none_left(tmp_path.name):
        subprocess.run(
            [*argv, "create", "--name", "demo", "@host", "true"],
            check=True,
            cwd=REPOSITORY,
            capture_output=True,
        )
        done = subprocess.run(
            [*argv, "demo", "start"], check=False, cwd=REPOSITORY, capture_output=True
        )
        subprocess.run([*argv, "rm", "-f", "demo"], check=True, cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 1
    assert b"is no demo" in done.stderr
