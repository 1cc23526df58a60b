"""`cinspect events` while real engines make and end containers: each event once, with who else saw it."""

import contextlib
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import command, traces
from tests.engines import daemons, kubelet, seen
from tests.engines.daemons import Engine
from tests.engines.kubelet import Kubelet
from tests.streaming import Event, Stream, also, one, streaming

pytestmark = [pytest.mark.engine, pytest.mark.root]
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""Podman asks for more than a tester may have."""


def stream_of(
    directory: Path, environment: Mapping[str, str]
) -> contextlib.AbstractContextManager[Stream]:
    """Run one with a state directory of its own, which sees the engine that the environment names."""
    options = ("--root", str(directory / "root"), "--state", str(directory / "state"))
    return streaming(directory / "output", options, {**seen.HIDDEN, **environment})


def topics(events: list[Event]) -> list[str]:
    """Return the topics, without what only the kernel tells of."""
    return [event["topic"] for event in events if event["source"] != "kernel"]


def test_dockers_events_are_told_once_with_containerds_and_the_kernels_word(
    docker: Engine, tmp_path: Path
) -> None:
    environment = {**docker.environment, "CONTAINERD_ADDRESS": f"{docker.scratch}/containerd.sock"}
    with stream_of(tmp_path, environment) as stream:
        identifier = docker(
            *("run", "--detach", "--name", "cinspect-stream", "--network", "none"),
            *(daemons.IMAGE, "sh", "-c", "sleep 1000"),
        )
        time.sleep(1)
        docker("exec", identifier, "true")
        docker("pause", identifier)
        time.sleep(1.2)
        docker("unpause", identifier)
        docker("rm", "--force", identifier)
        events = stream.until(lambda all_: "/container/destroy" in topics(all_), identifier)
        raw = command.succeed(
            *("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state")),
            *("events", "--raw", "--since", "10m", "--no-follow"),
            *("--filter", f"container={identifier}"),
            environment={**seen.HIDDEN, **environment},
        ).splitlines()
        joined = command.succeed(
            *("--root", str(tmp_path / "root"), "--state", str(tmp_path / "state")),
            *("events", "--since", "10m", "--no-follow"),
            *("--filter", "container=cinspect-str*", "--filter", "topic=/container/die"),
            environment=seen.HIDDEN,
        ).splitlines()
    died = one(events, "/container/die")
    assert {"containerd /tasks/exit", "kernel process-exit"} <= also(died)
    assert died["source"] == "docker"
    assert died["container_name"] == "cinspect-stream"
    assert died["monotonic_seconds"] > 0
    assert "containerd /tasks/start" in also(one(events, "/container/start"))
    assert {"containerd /tasks/paused", "kernel frozen"} <= also(one(events, "/container/pause"))
    assert "containerd /tasks/resumed" in also(one(events, "/container/unpause"))
    assert "containerd /tasks/exit" in also(one(events, "/container/exec_die"))
    assert "/tasks/exit" not in topics(events)
    assert "gone" not in [event["topic"] for event in events]
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    # The journal has each account; without any engine it tells of the joined one too.
    said = [json.loads(line) for line in raw]
    ends = {
        event["source"] for event in said if event["topic"] in {"/container/die", "/tasks/exit"}
    }
    assert ends == {"docker", "containerd"}
    assert len(joined) == 1
    assert also(json.loads(joined[0])) == also(died)


def test_the_processes_of_a_container_are_told_however_short_they_live(
    docker: Engine, tmp_path: Path
) -> None:
    with stream_of(tmp_path, docker.environment) as stream:
        script = (
            "sleep 0.5; /bin/busybox ls /; (sleep 100 & kill -SEGV $!); echo done; exec sleep 1000"
        )
        identifier = docker(
            *("run", "--detach", "--network", "none", daemons.IMAGE, "sh", "-c", script)
        )
        command.eventually(lambda: "done" in docker("logs", identifier))
        time.sleep(1)
        docker("exec", identifier, "echo", "a", "word")
        docker("rm", "--force", identifier)
        events = stream.until(lambda all_: "/container/destroy" in topics(all_), identifier)
    programs = [event["event"] for event in events if event["topic"] == "process-exec"]
    commands = [one.get("command") for one in programs]
    for wanted in (["sleep", "0.5"], ["sleep", "1000"]):
        assert wanted in commands
    # Of one that ended at once it may not be known what it was, but that it was is.
    assert len(programs) >= 4
    assert {tuple(one or ()) for one in commands} <= {
        (),
        ("runc", "init"),
        ("sleep", "0.5"),
        ("sleep", "1000"),
        ("/bin/busybox", "ls", "/"),
        ("sh", "-c", script),
        ("sleep", "100"),
        ("echo", "a", "word"),
    }
    ended = [event["event"] for event in events if event["topic"] == "process-exit"]
    assert [one for one in ended if one.get("signal") == signal.SIGSEGV]
    born = [event["event"]["pid"] for event in events if event["topic"] == "process-born"]
    assert len(born) == len(set(born))
    assert len(born) >= 4


def test_containerds_events_are_told_once(
    containerd: Engine, containerd_image: str, tmp_path: Path
) -> None:
    name = "cinspect-streamed"
    with stream_of(tmp_path, containerd.environment) as stream:
        containerd(
            *("run", "--cgroup", f"/{containerd.scratch.name}/{name}", "--rm"),
            *(containerd_image, name, "sh", "-c", "exit 3"),
            check=False,  # it ends as its command does
        )
        events = stream.until(lambda all_: "/containers/delete" in topics(all_), name)
    assert topics(events) == [
        "/containers/create",
        "/tasks/create",
        "/tasks/start",
        "/tasks/exit",
        "/tasks/delete",
        "/containers/delete",
    ]
    ended = one(events, "/tasks/exit")
    assert ended["event"]["exit_status"] == 3
    assert "kernel process-exit" in also(ended)


def test_podmans_events_are_told_once(podman: Engine, tmp_path: Path) -> None:
    with stream_of(tmp_path, podman.environment) as stream:
        identifier = podman(
            *("run", "--detach", "--network", "none", *LIMITS),
            *(daemons.IMAGE, "sleep", "1000"),
        )
        time.sleep(1)
        podman("pause", identifier)
        time.sleep(1.2)
        podman("unpause", identifier)
        podman("rm", "--force", "--time", "0", identifier)
        events = stream.until(lambda all_: "/container/remove" in topics(all_), identifier)
    told = topics(events)
    for topic in ("create", "start", "pause", "unpause", "die", "remove"):
        assert told.count(f"/container/{topic}") == 1, told
    assert "kernel process-exit" in also(one(events, "/container/die"))
    assert "kernel frozen" in also(one(events, "/container/pause"))


async def test_a_pods_events_are_told(scratch: Path, rootfs_tar: Path, tmp_path: Path) -> None:
    with kubelet.containerd(scratch, rootfs_tar) as runtime:
        assert runtime.address
        parent = f"/{scratch.name}/kubepods/podstream"
        maker = Kubelet(runtime.address, parent)
        with stream_of(tmp_path, runtime.environment) as stream:
            sandbox = await maker.run_pod("web", namespace="shop", uid="stream")
            container = await maker.run_container(sandbox, "nginx", ["sleep", "1000"])
            time.sleep(1)
            await maker.stop_container(container)
            await maker.remove_pod(sandbox)
            events = stream.until(lambda all_: "/containers/delete" in topics(all_), container)
            for cgroup in traces.cgroups(f"{scratch.name}/kubepods"):
                traces.remove_cgroup(cgroup)
    assert topics(events).count("/tasks/exit") == 1
    assert "kernel process-exit" in also(one(events, "/tasks/exit"))
    assert one(events, "/tasks/start")["container_name"] == "nginx"


def test_a_hundred_births_a_second_are_all_told_and_none_is_anothers(
    docker: Engine, tmp_path: Path
) -> None:
    with stream_of(tmp_path, docker.environment) as stream:
        script = (
            "i=0; while [ $i -lt 500 ]; do /bin/true & i=$((i+1)); [ $((i % 20)) = 0 ] && sleep 0.2; "
            "done; wait; echo done; exec sleep 1000"
        )
        identifier = docker(
            *("run", "--detach", "--network", "none", daemons.IMAGE, "sh", "-c", script)
        )
        command.eventually(lambda: "done" in docker("logs", identifier), seconds=60)
        docker("rm", "--force", identifier)
        events = stream.until(lambda all_: "/container/destroy" in topics(all_), identifier)
        everything = stream.seen()
    lost = [event["event"] for event in everything if event["topic"] == "events-lost"]
    left = [event["event"] for event in everything if "left_out" in event["event"]]
    programs = [event for event in events if event["topic"] == "process-exec"]
    ends = [event for event in events if event["topic"] == "process-exit"]
    if not lost and not left:
        assert len(programs) >= 500
        assert len(ends) >= 500
    mine = {event["event"]["pid"] for event in programs}
    others = [
        event
        for event in everything
        if event["topic"] == "process-exec"
        and event["container"] != identifier
        and event["event"].get("command") == ["/bin/true"]
    ]
    assert [event for event in others if event["event"]["pid"] in mine] == []
