"""`cinspect events` on every kind of host: what the embedded engine and the kernel tell of containers."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, requirements
from tests.live import host
from tests.live.engine import Engine
from tests.streaming import Event, Stream, also, one, streaming

pytestmark = pytest.mark.root


@contextlib.contextmanager
def events_of(engine: Engine, directory: Path) -> Iterator[Stream]:
    with streaming(directory / "output", engine.options) as stream:
        yield stream


def topics(events: list[Event]) -> list[str]:
    return [event["topic"] for event in events]


def test_a_containers_life_is_told_once_from_its_beginning_to_its_end(
    engine: Engine, tmp_path: Path
) -> None:
    with events_of(engine, tmp_path) as stream:
        with engine.running("sleep", "1000") as identifier:
            command.eventually(lambda: "/tasks/start" in topics(stream.of(identifier)))
            time.sleep(1.5)
            engine("freeze", identifier)
            command.eventually(lambda: "/tasks/paused" in topics(stream.of(identifier)))
            time.sleep(1.5)
            engine("thaw", identifier)
            command.eventually(lambda: "/tasks/resumed" in topics(stream.of(identifier)))
            time.sleep(1.5)
        events = stream.until(lambda all_: "/containers/delete" in topics(all_), identifier)
    for topic in ("/tasks/start", "/tasks/paused", "/tasks/resumed", "/tasks/exit"):
        assert one(events, topic)["source"].startswith("shim ")
    assert also(one(events, "/tasks/start")) >= {"kernel appeared"}
    assert also(one(events, "/tasks/paused")) == {"kernel frozen"}
    assert also(one(events, "/tasks/resumed")) == {"kernel thawed"}
    assert also(one(events, "/tasks/exit")) & {"kernel gone", "kernel process-exit"}
    assert not {"appeared", "gone", "frozen", "thawed"} & set(topics(events))
    assert all(event["container_name"].startswith("live-") for event in events)


def test_where_births_are_not_told_it_says_why(engine: Engine) -> None:
    lines = engine("watch", "--section", "events", "--interval", "0.2", "--count", "2")
    errors = [one for line in lines.splitlines() for one in json.loads(line)["errors"]]
    said = [one for one in errors if one["path"] == "netlink/connector"]
    assert {one["error"] for one in said} <= {"denied", "missing"}
    assert all(one["message"] for one in said)
    # In a container it never is told; elsewhere a kernel can be built without.
    assert said or not host.INSIDE


def test_a_mount_in_a_container_that_lasts_for_a_moment_is_told(
    engine: Engine, tmp_path: Path
) -> None:
    with events_of(engine, tmp_path) as stream, engine.running("sleep", "1000") as identifier:
        pid = engine.container(identifier)["pid"]
        time.sleep(3)  # a new namespace is watched from the next frame on
        enter = ("nsenter", "--mount", "--target", str(pid))
        script = "mount -t tmpfs moment /mnt && sleep 0.1 && umount /mnt"
        subprocess.run((*enter, "sh", "-c", script), check=True)
        events = stream.until(lambda all_: "unmounted" in topics(all_), identifier, seconds=60)
    mine = [one for one in events if one["event"].get("mountpoint") == "/mnt"]
    assert topics(mine) == ["mounted", "unmounted"]
    assert mine[0]["event"]["fstype"] == "tmpfs"


def test_one_that_is_killed_for_want_of_memory_and_gone_at_once_is_told(
    engine: Engine, tmp_path: Path
) -> None:
    host.require("memory")
    with events_of(engine, tmp_path) as stream:
        done = engine.cinspect(*("run", "--rm", "--memory", "32m", "@host", "tail", "/dev/zero"))
        assert done.returncode == 137, done.stderr
        found = command.eventually(lambda: killed(stream), seconds=40)
        time.sleep(1.5)
        assert len(found) == len(killed(stream)) == 1


def killed(stream: Stream) -> list[Event]:
    """Return the kills for want of memory in containers that this engine made meanwhile."""
    events = stream.seen()
    made = {event["container"] for event in events if event["topic"] == "/containers/create"}
    return [
        event
        for event in events
        if event["topic"] in {"oom", "/tasks/oom"} and event["container"] in made
    ]


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Return a new cgroup of version 2, of the host's own."""
    if not host.UNIFIED:
        requirements.absent_here("cgroup v2 is not what this host has")
    path = Path("/sys/fs/cgroup", f"cinspect-test-told-{os.getpid()}")
    path.mkdir()
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            (path / "cgroup.kill").write_text("1")
        for _ in range(100):
            with contextlib.suppress(OSError):
                path.rmdir()
            if not path.exists():
                break
            time.sleep(0.05)


def test_what_cgroup_events_tells_of_the_hosts_own(
    engine: Engine, tmp_path: Path, cgroup: Path
) -> None:
    def mine() -> list[str]:
        return [one["topic"] for one in stream.of(None) if one["event"].get("path") == inside]

    inside = f"/{cgroup.name}"
    with events_of(engine, tmp_path) as stream:
        with subprocess.Popen(("sleep", "1000")) as process:
            (cgroup / "cgroup.procs").write_text(str(process.pid))
            command.eventually(lambda: "cgroup-populated" in mine(), seconds=60)
            (cgroup / "cgroup.freeze").write_text("1")
            command.eventually(lambda: "cgroup-frozen" in mine(), seconds=60)
            (cgroup / "cgroup.freeze").write_text("0")
            command.eventually(lambda: "cgroup-thawed" in mine(), seconds=60)
            process.kill()
        command.eventually(lambda: "cgroup-emptied" in mine(), seconds=60)
        time.sleep(2)
    assert [one for one in mine() if one != "cgroup-written"] == [
        "cgroup-populated",
        "cgroup-frozen",
        "cgroup-thawed",
        "cgroup-emptied",
    ]


def test_what_memory_events_counts_is_told(engine: Engine, tmp_path: Path, cgroup: Path) -> None:
    host.require("memory")
    (cgroup / "memory.high").write_text(str(8 << 20))
    (cgroup / "memory.max").write_text(str(24 << 20))
    with events_of(engine, tmp_path) as stream:
        script = f"echo $$ > {cgroup}/cgroup.procs; tail /dev/zero"
        with subprocess.Popen(("sh", "-c", script)) as process:
            command.eventually(
                lambda: [one for one in stream.seen() if one["topic"] == "memory-high"], seconds=60
            )
            (cgroup / "memory.high").write_text("max")
            command.eventually(
                lambda: [one for one in stream.seen() if one["topic"] == "oom"], seconds=60
            )
            process.kill()
        high = [one for one in stream.seen() if one["topic"] == "memory-high"]
        kills = [one for one in stream.seen() if one["topic"] == "oom"]
    assert {one["event"]["path"] for one in high} == {f"/{cgroup.name}"}
    assert [one["event"]["path"] for one in kills] == [f"/{cgroup.name}"]
