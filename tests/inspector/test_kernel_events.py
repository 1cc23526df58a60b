"""Events of the kernel's side, from recorded samples and from a real cgroup that does not last."""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from collectors.kernel import cgroups
from collectors.kernel.cgroups import Change, Memory
from collectors.registry import collectors
from collectors.root import Root
from inspector import kernel_events
from inspector.chain import Chain
from inspector.domains.events.model import Event
from inspector.sample import Sample
from inspector.sampler import Sampler
from tests import requirements
from tests.inspector.canned import HOST, A, Host, mount, own

LEAF = f"/docker/{A}"


def web(limit: int | None = None) -> Host:
    host = Host()
    host.process(100, 1, "app", ns=own(1), inside=[1], cgroup=LEAF)
    host.group("/")
    host.group("/docker", inode=2)
    host.group(LEAF, inode=3, memory=Memory(current_bytes=1, limit_bytes=limit))
    return host


def changed(host: Host, *changes: Change, at: float = 101.0) -> Sample:
    sample = host.sample(at=at)
    reading = sample.get(cgroups.KEY)
    assert reading is not None
    return structs.replace(
        sample,
        readings={
            **sample.readings,
            cgroups.KEY.name: structs.replace(reading, changes=changes),
        },
    )


def told(*samples: Sample) -> Sequence[Event]:
    chain = Chain()
    frame = [chain.advance(sample) for sample in samples][-1]
    assert isinstance(frame.events, tuple)
    return frame.events


def topics(events: Sequence[Event]) -> list[str]:
    return [event.topic for event in events]


def test_a_cgroup_below_a_containers_is_its_own_and_told_once_for_all_hierarchies():
    changes = [
        Change("made", "/sys/fs/cgroup", f"{LEAF}/job"),
        Change("made", "/other", f"{LEAF}/job"),
    ]
    (event,) = told(web().sample(at=100), changed(web(), *changes))
    assert (event.source, event.topic, event.container) == ("kernel", "cgroup-made", A)
    assert event.event["path"] == f"{LEAF}/job"
    assert event.event["hierarchies"] == ["/other", "unified"]


def test_a_cgroup_goes_after_those_below_it_in_whichever_hierarchy_they_are():
    changes = [
        Change("removed", "/other", "/gone"),
        Change("removed", "/sys/fs/cgroup", "/gone/below"),
        Change("removed", "/sys/fs/cgroup", "/gone"),
        Change("made", "/other", "/gone"),
    ]
    events = told(web().sample(at=100), changed(web(), *changes))
    assert [(event.topic, event.event["path"]) for event in events] == [
        ("cgroup-removed", "/gone/below"),
        ("cgroup-removed", "/gone"),
        ("cgroup-made", "/gone"),
    ]


def test_what_was_written_names_the_file():
    change = Change("written", "/sys/fs/cgroup", LEAF, "memory.max")
    (event,) = told(web().sample(at=100), changed(web(), change))
    assert (event.topic, event.event["file"]) == ("cgroup-written", "memory.max")


def test_a_limit_that_changed_says_from_what_to_what_and_whose():
    (event,) = told(web(100).sample(at=100), web(200).sample(at=101))
    assert (event.topic, event.container) == ("limit", A)
    assert event.event == {
        "what": "memory.limit_bytes",
        "from": 100,
        "to": 200,
        "limited_by": LEAF,
    }


def test_nothing_that_stays_is_an_event():
    assert told(web(100).sample(at=100), web(100).sample(at=101)) == ()


def test_namespaces_are_born_and_go():
    more = web()
    more.process(200, 1, "other", ns={"net": 4026540000}, inside=[200])
    born = told(web().sample(at=100), more.sample(at=101))
    assert ("namespace-born", 4026540000) in [
        (event.topic, event.event.get("inode")) for event in born
    ]
    gone = told(more.sample(at=100), web().sample(at=101))
    assert "namespace-gone" in topics(gone)


def test_a_mount_in_a_namespace_that_lasts_is_told_and_those_of_a_new_one_are_not():
    def seen(*points: str) -> Host:
        host = web()
        mounts = [mount(number, point) for number, point in enumerate(("/", *points), 1)]
        host.root(HOST["mnt"], *mounts)
        return host

    events = told(seen().sample(at=100), seen("/data").sample(at=101))
    assert [(event.topic, event.event.get("mountpoint")) for event in events] == [
        ("mounted", "/data")
    ]
    assert topics(told(seen("/data").sample(at=100), seen().sample(at=101))) == ["unmounted"]
    assert topics(told(web().sample(at=100), seen("/data").sample(at=101))) == []


def test_more_than_a_screenful_of_one_topic_is_counted():
    changes = [Change("made", "/sys/fs/cgroup", f"/many/{number}") for number in range(150)]
    events = told(web().sample(at=100), changed(web(), *changes))
    assert len(events) == kernel_events.MOST + 1
    assert {event.event.get("left_out") for event in events} == {None, 50}


@pytest.mark.root
def test_a_cgroup_that_lives_shorter_than_a_frame_is_told_of():
    root = Root()
    sampler, chain = Sampler(root, collectors(root)), Chain()
    for _ in range(3):
        chain.advance(asyncio.run(sampler.sample(("events",))))
    top = Path("/sys/fs/cgroup")
    hierarchy = top / "pids" if (top / "pids").is_dir() else top
    name = f"cinspect-test-short-{os.getpid()}"

    def next_topics() -> list[str]:
        frame = chain.advance(asyncio.run(sampler.sample(("events",))))
        assert isinstance(frame.events, tuple)
        return [event.topic for event in frame.events if event.event.get("path") == f"/{name}"]

    (hierarchy / name).mkdir()
    (hierarchy / name).rmdir()
    assert next_topics() == ["cgroup-made", "cgroup-removed"]
    (hierarchy / name).mkdir()
    (hierarchy / name).rmdir()
    (hierarchy / name).mkdir()
    try:
        assert next_topics() == ["cgroup-removed", "cgroup-made"]
    finally:
        (hierarchy / name).rmdir()


@pytest.mark.root
def test_a_fork_that_a_limit_refuses_is_told_where_only_events_are_asked_for():
    pids = Path("/sys/fs/cgroup/pids")
    if not pids.is_dir():
        requirements.absent_here("no hierarchy of version 1 that limits processes")
    root = Root()
    sampler, chain = Sampler(root, collectors(root)), Chain()
    group = pids / f"cinspect-test-full-{os.getpid()}"
    group.mkdir()
    try:
        (group / "pids.max").write_text("1")
        for _ in range(3):
            chain.advance(asyncio.run(sampler.sample(("events",))))
        script = f"echo $$ > {group}/cgroup.procs; (true) & wait"
        subprocess.run(("sh", "-c", script), check=False, stderr=subprocess.DEVNULL)
        frame = chain.advance(asyncio.run(sampler.sample(("events",))))
    finally:
        group.rmdir()
    assert isinstance(frame.events, tuple)
    found = [event.event for event in frame.events if event.topic == "pids-max"]
    assert {"path": f"/{group.name}", "count": 1} in found
